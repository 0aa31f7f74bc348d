import {PosternError} from '../core/errors.js'
import type {Database} from '../resources/database.js'
import {classifyDatabase, parseAddress, type Address, type DatabaseType} from '../resources/endpoint.js'
import type {RoleHop} from './identities.js'

export type AwsDatabaseType = Exclude<DatabaseType, 'self-hosted'>
export type AwsSettings = NonNullable<Database['spec']['aws']>

/** A role that a host's configuration puts in the place of the database's own. */
export interface RoleOverride {
  readonly assumeRoleArn: string
  readonly externalId?: string | undefined
}

/** A database on AWS, with all that is known about it without asking. */
export interface AwsDatabase {
  readonly name: string
  readonly type: AwsDatabaseType
  /** As registered: what tokens are signed for, wherever the connection goes. */
  readonly endpoint: Address
  readonly settings: AwsSettings
  /** The database's role; undefined for the host's own identity. */
  readonly role: RoleHop | undefined
  /** For the first role that is assumed when the database names none. */
  readonly externalId: string | undefined
  /** A user that may look at the others. */
  readonly admin: {readonly name: string; readonly dbName: string | undefined} | undefined
}

/** The AWS side of a database resource; undefined for a self-hosted one. */
export function toAwsDatabase({metadata, spec}: Database, override?: RoleOverride): AwsDatabase | undefined {
  const {type, aws} = classifyDatabase(spec)
  if (type === 'self-hosted') return undefined
  const arn = override?.assumeRoleArn ?? aws.assume_role_arn
  const externalId = override ? override.externalId : aws.external_id
  const tags = aws.session_tags
  return {
    name: metadata.name,
    type,
    endpoint: parseAddress(spec.uri),
    settings: aws,
    role: arn === undefined ? undefined : {arn, externalId, ...(tags && {tags})},
    externalId: arn === undefined ? externalId : undefined,
    admin: spec.admin_user && {name: spec.admin_user.name, dbName: spec.admin_user.default_database},
  }
}

/** The roles that every request about this database goes through. */
export const chainOf = ({role}: AwsDatabase): readonly RoleHop[] => (role ? [role] : [])

export interface RoleName {
  readonly name: string
  readonly account?: string | undefined
  readonly partition?: string | undefined
}

/**
 * The ARN of a user's role in a database's region.
 * @throws PosternError INVALID when the role is of another partition or another account than the database
 */
export function roleArn({name, account, partition}: RoleName, region: string, owner: string): string {
  const own = partitionOf(region)
  if ((partition ?? own) !== own) {
    throw new PosternError(
      'INVALID',
      `The IAM role "${name}" is of the partition ${partition ?? ''}, the database of ${own}.`,
    )
  }
  if (account !== undefined && owner !== '' && account !== owner) {
    throw new PosternError('INVALID', `The IAM role "${name}" is of the account ${account}, the database of ${owner}.`)
  }
  return `arn:${own}:iam::${account ?? owner}:role/${name}`
}

/** AWS' worlds apart, by the beginning of a region's name. */
export function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn'
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws'
}

/** The account in an ARN. */
export const accountOfArn = (arn: string | undefined): string | undefined => arn?.split(':')[4]
