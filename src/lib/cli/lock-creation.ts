import {randomUUID} from 'node:crypto'
import type {ApiClient} from '../api/client.js'
import {PosternError} from '../core/errors.js'
import {kindNouns} from '../resources/kinds.js'
import type {Lock} from '../resources/lock.js'

export interface LockWish {
  readonly user?: string | undefined
  readonly role?: string | undefined
  readonly serverId?: string | undefined
  readonly message?: string | undefined
  readonly ttlSeconds?: number | undefined
  /** RFC 3339 */
  readonly expires?: string | undefined
}

/** @param now milliseconds since 1970 @throws PosternError USAGE */
export function newLock({user, role, serverId, message, ttlSeconds, expires}: LockWish, now: number): Lock {
  const target = {
    ...(user === undefined ? {} : {user}),
    ...(role === undefined ? {} : {role}),
    ...(serverId === undefined ? {} : {server_id: serverId}),
  }
  if (Object.keys(target).length === 0) {
    throw new PosternError('USAGE', 'It is not said who is to be locked out.', {
      hint: 'Give --user, --role or --server-id.',
    })
  }
  const end = ttlSeconds === undefined ? readExpiry(expires, now) : now + ttlSeconds * 1000
  return {
    kind: 'lock',
    version: 'v2',
    metadata: {name: randomUUID()},
    spec: {
      target,
      ...(message === undefined ? {} : {message}),
      ...(end === undefined ? {} : {expires: new Date(end).toISOString()}),
    },
  }
}

function readExpiry(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined
  const moment = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/.test(text)
    ? Date.parse(text)
    : NaN
  if (Number.isNaN(moment)) {
    throw new PosternError('USAGE', `"${text}" is not a moment.`, {hint: 'Write it like 2030-01-31T18:00:00Z.'})
  }
  if (moment <= now) throw new PosternError('USAGE', `${text} is in the past: the lock would never be in force.`)
  return moment
}

/** A lock takes any name, so that it can be there before its user: a sentence for each name that is nobody's now. */
export async function describeUnknownTarget(client: ApiClient, {spec: {target}}: Lock): Promise<string[]> {
  const named = [['user', target.user] as const, ['role', target.role] as const]
  const doubts = await Promise.all(
    named.map(async ([kind, name]) => {
      if (name === undefined) return []
      try {
        await client.getResource(kind, name)
        return []
      } catch (error) {
        // Whoever may lock need not be allowed to read users.
        if (!(error instanceof PosternError) || error.code !== 'NOT_FOUND') return []
        return [`There is no ${kindNouns[kind]} "${name}" now; the lock is in force all the same.`]
      }
    }),
  )
  return doubts.flat()
}
