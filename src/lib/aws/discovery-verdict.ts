/** Why a database of AWS is found, or is not: what each matcher says to it. */
import {PosternError} from '../core/errors.js'
import {formatLabels} from '../core/labels.js'
import {formatAddress} from '../resources/endpoint.js'
import type {AwsDatabaseType} from './aws-database.js'
import {describeAwsError} from './failure.js'
import {obstacleOf, type Candidate} from './found-database.js'
import {survey, type Listing, type Matcher, type Scope, type SurveyOptions} from './survey.js'

/** A matcher, and where the configuration has it. */
export interface PlacedMatcher {
  readonly place: string
  readonly matcher: Matcher
}

export interface Verdict {
  readonly place: string
  /** What it is registered as: several endpoints of one database are several. */
  readonly found: readonly {readonly name: string; readonly uri: string}[]
  /** Why nothing, or not all of it, is found. */
  readonly reasons: readonly string[]
}

export interface VerdictRequest extends Pick<SurveyOptions, 'list' | 'selects'> {
  readonly arn: string
  readonly matchers: readonly PlacedMatcher[]
}

interface Target {
  readonly arn: string
  readonly type: AwsDatabaseType
  readonly region: string
  readonly account: string
}

const kinds: readonly {readonly service: string; readonly resource: RegExp; readonly type: AwsDatabaseType}[] = [
  {service: 'rds', resource: /^(db|cluster):./, type: 'rds'},
  {service: 'rds', resource: /^(db-proxy|db-proxy-endpoint):./, type: 'rdsproxy'},
  {service: 'redshift', resource: /^(cluster|namespace):./, type: 'redshift'},
  {service: 'redshift-serverless', resource: /^(workgroup|managedvpcendpoint)\/./, type: 'redshift-serverless'},
]

/** @throws PosternError USAGE */
function parseTarget(arn: string): Target {
  const [, service, region = '', account = '', resource = ''] =
    /^arn:aws[a-z-]*:([a-z-]+):([a-z0-9-]+):(\d{12}):(\S+)$/.exec(arn) ?? []
  const kind = kinds.find((one) => one.service === service && one.resource.test(resource))
  if (kind) return {arn, type: kind.type, region, account}
  throw new PosternError('USAGE', `"${arn}" is not the ARN of a database.`, {
    hint: [
      'RDS and Aurora: arn:aws:rds:<region>:<account>:db:<id> or :cluster:<id>. RDS Proxy: …:db-proxy:<id> or :db-proxy-endpoint:<id>.',
      'Redshift: arn:aws:redshift:<region>:<account>:cluster:<id>. Serverless: arn:aws:redshift-serverless:<region>:<account>:workgroup/<id>.',
    ],
  })
}

/** What each matcher says, in their order. @throws PosternError USAGE when the ARN is of no database */
export async function judgeDiscovery({arn, matchers, list, selects}: VerdictRequest): Promise<Verdict[]> {
  const target = parseTarget(arn)
  const verdicts: Verdict[] = []
  for (const {place, matcher} of matchers) {
    const {type, region} = target
    const outside = whyOutside(target, matcher)
    if (outside !== undefined) verdicts.push({place, found: [], reasons: [outside]})
    else {
      const scope: Scope = {matcher: {...matcher, types: [type], regions: [region]}, type, region}
      const listing = await list(scope).catch((error: unknown) => describeAwsError(error))
      const judged = typeof listing === 'string' ? notListed(listing) : await judge(target, scope, listing, selects)
      verdicts.push({place, ...judged})
    }
  }
  return verdicts
}

type Judgement = Omit<Verdict, 'place'>

const no = (...reasons: string[]): Judgement => ({found: [], reasons})

const notListed = (reason: string): Judgement => no(`AWS does not list them: ${reason}`)

function whyOutside({type, region}: Target, {types, regions}: Matcher): string | undefined {
  if (!types.includes(type)) return `this is of the type ${type}; the matcher is for ${types.join(', ')}`
  if (!regions.includes(region)) return `this is in ${region}; the matcher is for ${regions.join(', ')}`
  return undefined
}

async function judge(
  target: Target,
  scope: Scope,
  listing: Listing,
  selects: SurveyOptions['selects'],
): Promise<Judgement> {
  if (listing.account !== target.account) {
    return no(`this is in account ${target.account}; the matcher looks into ${listing.account}`)
  }
  const candidates = listing.candidates.filter(({arns}) => arns.includes(target.arn))
  if (candidates.length === 0) return no(`AWS lists no such database in ${target.region}`)
  // As discovery does it, so that names which two would have show.
  const {found, clashes} = await survey({matchers: [scope.matcher], list: () => Promise.resolve(listing), selects})
  const judged = candidates.map((candidate) => {
    const uri = candidate.endpoint ? formatAddress(candidate.endpoint) : ''
    const own = found.find(({database}) => database.spec.uri === uri)
    if (own) return {name: own.database.metadata.name, uri}
    const clash = clashes.find((one) => one.uri === uri)
    return clash ? `its name "${clash.name}" is that of ${clash.holder}` : whyUnwanted(candidate, scope.matcher)
  })
  return {
    found: judged.filter((one) => typeof one !== 'string'),
    reasons: judged.filter((one) => typeof one === 'string'),
  }
}

function whyUnwanted(candidate: Candidate, {tags: wanted}: Matcher): string {
  const obstacle = obstacleOf(candidate)
  if (obstacle) return obstacle.reason
  if (candidate.tagsDenied === true) return 'AWS does not let its tags be read, and the matcher demands some'
  const has = formatLabels(candidate.tags)
  const demands = Object.entries(wanted).map(([key, values]) => `${key}=${values.join('|')}`)
  return `its tags are ${has === '' ? 'none' : has}; the matcher demands ${demands.join(',')}`
}
