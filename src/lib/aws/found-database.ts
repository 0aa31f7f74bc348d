/** What a database that was found in AWS becomes here: a name, labels, a resource. Asks nobody; pure. */
import {createHash} from 'node:crypto'
import {isUsableLabel, type Labels} from '../core/labels.js'
import {PosternError} from '../core/errors.js'
import type {Database} from '../resources/database.js'
import {checkDatabaseName, formatAddress, type Address} from '../resources/endpoint.js'
import type {AwsDatabaseType, AwsSettings} from './aws-database.js'

/** One endpoint of a database, as AWS lists it. */
export interface Candidate {
  readonly type: AwsDatabaseType
  /** Under which it can be asked for; the first is the database's own. */
  readonly arns: readonly string[]
  readonly region: string
  readonly account: string
  /** AWS's name of the database, then what tells this endpoint from its others. */
  readonly nameParts: readonly string[]
  /** Whether it belongs to an Aurora cluster. */
  readonly isAurora?: boolean
  /** Undefined as long as AWS has none. */
  readonly endpoint: Address | undefined
  readonly description: string
  readonly labels: Labels
  readonly tags: Labels
  readonly tagsDenied?: boolean | undefined
  readonly settings: AwsSettings
  /** Why it is not registered: `now` as long as it is so, `never` for what it is. */
  readonly obstacle?: {readonly lasts: 'now' | 'never'; readonly reason: string} | undefined
}

/** How it is reached. */
export interface Reach {
  readonly assumeRoleArn?: string | undefined
  readonly externalId?: string | undefined
}

/** The type of the matcher that found it. */
export const typeLabel = 'postern.dev/discovery-type'
/** Tags that give a database its name here; the second is what files for another system say. */
const nameTags = ['PosternDatabaseName', 'TeleportDatabaseName'] as const
/** What one label of a server name holds (RFC 1035 §2.3.4). */
const longestName = 63
const keptLetters = 46
const hashDigits = 16

/** The whole name: AWS's own and where it is, so that it is one of its kind; or what a tag says in the place of both. */
export function fullNameOf({nameParts, type, isAurora, region, account, tags}: Candidate): string {
  const named = nameTags.map((tag) => tags[tag]).find((value) => value !== undefined && value !== '')
  if (named !== undefined) return tidy([named, ...nameParts.slice(1)].join('-'))
  const suffixes = [type, isAurora === true ? 'aurora' : '', region, account]
  return suffixes.reduce(
    (name, suffix) => {
      const isThere = suffix === '' || name.toLowerCase().includes(suffix.toLowerCase())
      return isThere ? name : `${name}-${suffix}`
    },
    tidy(nameParts.join('-')),
  )
}

const tidy = (text: string): string =>
  text
    .replace(/\s+/g, '-')
    .replace(/-{2,}/g, '-')
    .replace(/^-+|-+$/g, '')

/** For what has a name of its own beside a database that tags name. */
export const withoutNameTags = (tags: Labels): Labels =>
  Object.fromEntries(Object.entries(tags).filter(([key]) => !nameTags.some((tag) => tag === key)))

/** A name that is too long keeps its beginning, and of the rest a hash. */
export function shortenName(name: string): string {
  if (name.length <= longestName) return name
  const hash = createHash('sha256').update(name).digest('hex').slice(0, hashDigits)
  return `${name.slice(0, keptLetters)}-${hash}`
}

/** Why a candidate cannot be registered; undefined when it can. */
export function obstacleOf(candidate: Candidate): NonNullable<Candidate['obstacle']> | undefined {
  if (candidate.obstacle) return candidate.obstacle
  if (!candidate.endpoint) return {lasts: 'now', reason: 'it has no endpoint yet'}
  try {
    checkDatabaseName(shortenName(fullNameOf(candidate)))
    return undefined
  } catch (error) {
    if (!(error instanceof PosternError)) throw error
    return {lasts: 'never', reason: `its name here would be "${fullNameOf(candidate)}", which is none`}
  }
}

/** The candidate as a resource; undefined when there is an obstacle. */
export function toResource(candidate: Candidate, {assumeRoleArn, externalId}: Reach): Database | undefined {
  const {endpoint, region, account, settings, type} = candidate
  if (obstacleOf(candidate) || !endpoint) return undefined
  const fullName = fullNameOf(candidate)
  const name = shortenName(fullName)
  return {
    kind: 'db',
    version: 'v3',
    metadata: {
      name,
      description: candidate.description,
      labels: {
        ...usableTags(candidate.tags),
        ...candidate.labels,
        region,
        'account-id': account,
        'postern.dev/origin': 'cloud',
        'postern.dev/cloud': 'AWS',
        [typeLabel]: type,
        ...(name === fullName ? {} : {'postern.internal/discovered-name': fullName}),
      },
    },
    spec: {
      protocol: 'postgres',
      uri: formatAddress(endpoint),
      aws: {
        region,
        account_id: account,
        ...settings,
        ...(assumeRoleArn !== undefined && {assume_role_arn: assumeRoleArn}),
        ...(externalId !== undefined && {external_id: externalId}),
      },
    },
  }
}

const usableTags = (tags: Labels): Labels =>
  Object.fromEntries(Object.entries(tags).filter(([key, value]) => isUsableLabel(key, value)))
