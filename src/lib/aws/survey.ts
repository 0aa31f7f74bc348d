/**
 * What there is in AWS for a set of matchers: each matcher is looked up once per type and region, all of what AWS lists there,
 * so that what is gone can be told from what is unwanted and from what could not be seen.
 */
import {createHash} from 'node:crypto'
import type {Labels} from '../core/labels.js'
import type {Database} from '../resources/database.js'
import {formatAddress} from '../resources/endpoint.js'
import type {AwsDatabaseType} from './aws-database.js'
import {describeAwsError} from './failure.js'
import {obstacleOf, toResource, typeLabel, type Candidate, type Reach} from './found-database.js'

/** Which databases are looked for, and as whom. */
export interface Matcher extends Reach {
  readonly types: readonly AwsDatabaseType[]
  readonly regions: readonly string[]
  readonly tags: Readonly<Record<string, readonly string[]>>
}

/** One list of AWS: a type in a region, seen by one identity. */
export interface Scope {
  readonly matcher: Matcher
  readonly type: AwsDatabaseType
  readonly region: string
}

/** What AWS answers about a scope, with the account that was asked. */
export interface Listing {
  readonly account: string
  readonly candidates: readonly Candidate[]
}

export interface SurveyOptions {
  readonly matchers: readonly Matcher[]
  /** @throws whatever keeps AWS from answering completely */
  readonly list: (scope: Scope) => Promise<Listing>
  /** Whether tags satisfy a matcher's. */
  readonly selects: (selector: Matcher['tags'], tags: Labels) => boolean
}

/** A database to register, and the matcher that it is for. */
export interface Found {
  readonly database: Database
  readonly candidate: Candidate
  readonly matcher: Matcher
}

export interface Failure {
  readonly scope: Scope
  readonly reason: string
}

/** What AWS says about an endpoint that is registered and was not found again. */
export type Standing = 'gone' | 'unwanted' | 'unknown'

/** How many lists are asked for at once: AWS throttles the whole account. */
const listedAtOnce = 5

export async function survey({matchers, list, selects}: SurveyOptions): Promise<Survey> {
  const scopes = matchers.flatMap((matcher) =>
    matcher.regions.flatMap((region) => matcher.types.map((type): Scope => ({matcher, type, region}))),
  )
  const answers: (Listing | Failure | undefined)[] = []
  const left = scopes.map((scope, index) => ({scope, index}))
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next; next = left.shift()) {
      const {scope, index} = next
      answers[index] = await list(scope).catch((error: unknown): Failure => ({scope, reason: describeAwsError(error)}))
    }
  }
  await Promise.all(Array.from({length: listedAtOnce}, work))
  const result = new Survey(selects)
  for (const [index, scope] of scopes.entries()) {
    const answer = answers[index]
    if (answer && 'candidates' in answer) result.take(scope, answer)
    else if (answer) result.failures.push(answer)
  }
  return result
}

export class Survey {
  readonly failures: Failure[] = []
  /** By name in lower case. */
  readonly #found = new Map<string, Found>()
  /** Names that two databases would have, with the endpoint that goes without. */
  readonly clashes: {readonly name: string; readonly uri: string; readonly holder: string}[] = []
  /** All that AWS lists, wanted or not, by endpoint. */
  readonly #listed = new Map<string, {readonly mayReturn: boolean}>()
  /** Type, region and account of what was listed to its end. */
  readonly #complete = new Set<string>()
  readonly #selects: SurveyOptions['selects']

  constructor(selects: SurveyOptions['selects']) {
    this.#selects = selects
  }

  /** To be registered, each under a name of its own. */
  get found(): readonly Found[] {
    return [...this.#found.values()]
  }

  take({matcher, type, region}: Scope, {account, candidates}: Listing): void {
    this.#complete.add(placeKey(type, region, account))
    for (const candidate of candidates) {
      const obstacle = obstacleOf(candidate)
      const {endpoint} = candidate
      // Without its tags nobody knows whether it is wanted.
      const mayReturn = obstacle?.lasts === 'now' || candidate.tagsDenied === true
      if (endpoint) this.#listed.set(formatAddress(endpoint), {mayReturn})
      if (!obstacle && this.#selects(matcher.tags, candidate.tags)) this.#add(candidate, matcher)
    }
  }

  /** What AWS says about a registered database that is not among the found. */
  standingOf({metadata: {labels = {}}, spec}: Database): Standing {
    const listed = this.#listed.get(spec.uri)
    if (listed) return listed.mayReturn ? 'unknown' : 'unwanted'
    const {region = '', account_id: account = ''} = spec.aws ?? {}
    const place = placeKey(labels[typeLabel] ?? '', region, account)
    return this.#complete.has(place) ? 'gone' : 'unknown'
  }

  #add(candidate: Candidate, matcher: Matcher): void {
    const database = toResource(candidate, matcher)
    if (!database) return
    const {name} = database.metadata
    const taken = this.#found.get(name.toLowerCase())
    if (!taken) this.#found.set(name.toLowerCase(), {database, candidate, matcher})
    else if (taken.database.spec.uri !== database.spec.uri) {
      this.clashes.push({name, uri: database.spec.uri, holder: taken.database.spec.uri})
    }
  }
}

const placeKey = (type: string, region: string, account: string): string => `${type}/${region}/${account}`

/** The same for the same matcher, wherever it runs. */
export function fingerprintOf({types, regions, tags, assumeRoleArn = '', externalId = ''}: Matcher): string {
  const sorted = Object.entries(tags)
    .map(([key, values]): [string, readonly string[]] => [key, values.toSorted()])
    .sort(([one], [other]) => (one < other ? -1 : 1))
  const text = JSON.stringify([types.toSorted(), regions.toSorted(), sorted, assumeRoleArn, externalId])
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
