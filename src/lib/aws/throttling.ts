/** Whether a refused sign-in may be about nothing but their number: RDS words too many like a wrong token. */
import type {ServerError} from '../pgwire/server-error.js'
import {formatAddress} from '../resources/endpoint.js'
import type {AwsDatabase} from './aws-database.js'

const states = {
  invalidAuthorization: '28000',
  tooManyConnections: '53300',
}

/**
 * Whether the same sign-in may succeed a moment later.
 * @param isBusy whether sign-ins come close together
 */
export function mayBeThrottled({type}: AwsDatabase, {code, message}: ServerError, isBusy: boolean): boolean {
  if (type !== 'rds' && type !== 'rdsproxy') return false
  if (code === states.tooManyConnections) return true
  // Of a user without permission it is said as well, who must not slow the instance down for everybody.
  if (!isBusy) return false
  return code === states.invalidAuthorization && /PAM authentication failed|IAM authentication failed/.test(message)
}

/** Which database instance counts sign-ins. */
export const instanceOf = ({endpoint}: AwsDatabase): string => formatAddress(endpoint).toLowerCase()
