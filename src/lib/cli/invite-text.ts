import type {InviteResponse} from '../api/responses.js'
import {formatShortDuration} from '../core/duration.js'
import {nameCommands} from './calling-name.js'

/** A link as `users add|reset --format json` shows it. */
export interface InviteData {
  readonly user: string
  readonly url: string
  readonly proxy: string
  /** RFC 3339 */
  readonly expires: string
  readonly ttl_seconds: number
}

export const inviteData = ({ttlSeconds, ...invite}: InviteResponse): InviteData => ({
  ...invite,
  ttl_seconds: ttlSeconds,
})

/** What an administrator passes on to a new user, or to one who forgot the password. */
export function renderInvite(
  {user, url, proxy, ttl_seconds: ttlSeconds}: InviteData,
  {done, caPins}: {readonly done: 'created' | 'reset'; readonly caPins: readonly string[]},
): string {
  const life = formatShortDuration(ttlSeconds * 1000)
  const state = done === 'created' ? 'has been created and needs a password' : 'has been reset and needs a new password'
  const pins = caPins.map((pin) => ` --ca-pin=${pin}`).join('')
  return `User "${user}" ${state}. Give them this link; it works once, for ${life}:
${url}

On a terminal, this command does the same and knows the cluster by its CA:
${nameCommands('postern invite accept')} ${url}${pins}

NOTE: ${proxy} must be an address at which users reach the proxy.`
}
