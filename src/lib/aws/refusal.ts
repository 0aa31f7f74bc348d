/** What a database on AWS means by refusing a sign-in: its own words say less than is known here. */
import type {ServerError} from '../pgwire/server-error.js'
import {formatAddress} from '../resources/endpoint.js'
import {partitionOf, type AwsDatabase} from './aws-database.js'

const states = {
  invalidAuthorization: '28000',
  invalidPassword: '28P01',
  tooManyConnections: '53300',
  undefinedObject: '42704',
}

/**
 * Whether the same sign-in may succeed a moment later: RDS words too many sign-ins like a wrong token.
 * @param isBusy whether sign-ins come close together
 */
export function mayBeThrottled({type}: AwsDatabase, {code, message}: ServerError, isBusy: boolean): boolean {
  if (type !== 'rds' && type !== 'rdsproxy') return false
  if (code === states.tooManyConnections) return true
  // Of a user without permission it is said as well, who must not slow the instance down for everybody.
  if (!isBusy) return false
  return code === states.invalidAuthorization && /PAM authentication failed|IAM authentication failed/.test(message)
}

/** What the user or the administrator can do about it, most likely first; empty when there is nothing to add. */
export function explainRefusal(database: AwsDatabase, dbUser: string, {code, message}: ServerError): readonly string[] {
  switch (database.type) {
    case 'rds':
      return explainRds(database, dbUser, code, message)
    case 'rdsproxy':
      return explainProxy(database, dbUser, code, message)
    case 'redshift':
    case 'redshift-serverless':
      return explainRedshift(database, dbUser, code, message)
  }
}

const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`
const propagation = 'Changes of IAM take effect after up to a minute.'

function explainRds(database: AwsDatabase, dbUser: string, code: string, message: string): readonly string[] {
  const isMember = `the database user must be a member of rds_iam: GRANT rds_iam TO ${quoteName(dbUser)};`
  if (code === states.invalidPassword) {
    // Only users outside rds_iam are asked for a password at all.
    return [`The user does not exist or is not allowed to use IAM: ${isMember}`]
  }
  if (code !== states.invalidAuthorization) return []
  if (!message.includes('PAM')) return [`IAM authentication must be on for the database, and ${isMember}`]
  return [
    `The identity of the agent must be allowed rds-db:connect on ${connectArn(database, dbUser)}.`,
    'IAM authentication must be on for the database, and the clock of the agent’s host must be right.',
    propagation,
  ]
}

function explainProxy(database: AwsDatabase, dbUser: string, code: string, message: string): readonly string[] {
  const secret = `a Secrets Manager secret for the user ${quoteName(dbUser)}`
  if (message.includes('no credentials for the role')) return [`Attach ${secret} to the RDS Proxy.`]
  if (message.includes('SSL connections')) return ['Let the RDS Proxy require TLS.']
  if (message.includes('password that was provided')) {
    return [`Set IAM authentication to "required" for ${secret}, in the RDS Proxy.`]
  }
  if (message.startsWith('Request returned an error')) {
    return ['The password in the secret must be the database user’s, and the user must not be a member of rds_iam.']
  }
  if (code !== states.invalidAuthorization && code !== states.invalidPassword) return []
  return [
    `The identity of the agent must be allowed rds-db:connect on ${connectArn(database, dbUser)}.`,
    `The RDS Proxy must have ${secret}, with IAM authentication "required".`,
    propagation,
  ]
}

function explainRedshift({type}: AwsDatabase, dbUser: string, code: string, message: string): readonly string[] {
  const isMissing = code === states.undefinedObject || message.includes('does not exist')
  if (type === 'redshift' && isMissing && message.startsWith('user ')) {
    return [`Postern creates no database users: CREATE USER ${dbUser} PASSWORD DISABLE;`]
  }
  if (code !== states.invalidAuthorization && code !== states.invalidPassword) return []
  return ['Check that the cluster or workgroup of the database is the one that its uri leads to.']
}

/** What a policy must allow; `*` stands for what is not known here. */
function connectArn({settings, type}: AwsDatabase, dbUser: string): string {
  const {region = '*', account_id: account = '*', rds, rdsproxy} = settings
  const resource = (type === 'rdsproxy' ? rdsproxy?.resource_id : rds?.resource_id) ?? '*'
  return `arn:${partitionOf(region)}:rds-db:${region}:${account}:dbuser:${resource}/${dbUser}`
}

/** Which database instance counts sign-ins. */
export const instanceOf = ({endpoint}: AwsDatabase): string => formatAddress(endpoint).toLowerCase()
