/** Checks IAM tokens for databases: presigned requests for `rds-db:connect`, without their scheme (RDS User Guide, "IAM database authentication"). */
import type {Secret} from '../core/secret.js'
import {authorize} from './authorization.js'
import {Fault} from './fault.js'
import {findKeyHolder} from './sessions.js'
import {isSignedWith, parseQuery, parseTimestamp, readClaim, sha256Hex, type SignatureClaim} from './sigv4.js'
import type {World} from './world.js'

const longestSeconds = 900
const clockTolerance = 300_000

/** What the token has to be for. */
export interface TokenTarget {
  /** The endpoint that was dialled. */
  readonly host: string
  readonly port: number
  readonly user: string
  readonly region: string
  readonly account: string
  /** `db-…`, `cluster-…` or `prx-…` */
  readonly resourceId: string
}

/** Why the token is no good, for the sandbox's log; undefined when it is. */
export function findTokenFault(world: World, token: Secret, target: TokenTarget): string | undefined {
  const [address = '', query = '', ...more] = token.reveal().split('?')
  const claim = readClaim({headers: new Map(), query})
  if (typeof claim === 'string' || claim.service !== 'rds-db' || more.length > 0) return 'the password is no IAM token'
  const fields = new Map(parseQuery(query))
  if (fields.get('Action') !== 'connect') return 'the token is for another action'
  if (address !== `${target.host}:${target.port}/`) return `the token is for ${address}`
  if (fields.get('DBUser') !== target.user) return 'the token is for another user'
  if (claim.region !== target.region) return `the token is for region ${claim.region}`
  return findAgeFault(claim, world.now()) ?? findSignerFault(world, claim, query, target)
}

function findAgeFault({timestamp, expiresIn = 0}: SignatureClaim, now: number): string | undefined {
  const signed = parseTimestamp(timestamp) ?? 0
  if (expiresIn > longestSeconds) return 'the token is meant to live longer than 15 minutes'
  if (now > signed + expiresIn * 1000) return 'the token is expired'
  return signed > now + clockTolerance ? 'the token is from the future' : undefined
}

function findSignerFault(world: World, claim: SignatureClaim, query: string, target: TokenTarget): string | undefined {
  const {host, port, region, account, resourceId, user} = target
  const headers = new Map([['host', [`${host}:${port}`]]])
  const request = {method: 'GET', path: '/', query, headers, payloadHash: sha256Hex('')}
  try {
    const {principal, secretKey} = findKeyHolder(world, claim)
    if (!isSignedWith(request, claim, secretKey)) return 'the signature does not match'
    const resource = `arn:aws:rds-db:${region}:${account}:dbuser:${resourceId}/${user}`
    const verdict = authorize(world, principal, {action: 'rds-db:connect', resource})
    return verdict.allowed ? undefined : `${principal.arn} may not rds-db:connect on ${resource} (${verdict.reason})`
  } catch (error) {
    if (error instanceof Fault) return error.message
    throw error
  }
}
