import type {InviteResponse} from '../api/responses.js'
import {formatShortDuration} from '../core/duration.js'

/** What an administrator passes on to a new user, or to one who forgot the password. */
export function renderInvite({user, url, proxy, ttlSeconds}: InviteResponse, done: 'created' | 'reset'): string {
  const life = formatShortDuration(ttlSeconds * 1000)
  const state = done === 'created' ? 'has been created and needs a password' : 'has been reset and needs a new password'
  return `User "${user}" ${state}. Give them this link, which works once, for ${life}:
${url}

On a terminal the same is done with \`postern invite accept URL\`.
NOTE: ${proxy} must be an address at which the user reaches the proxy.`
}
