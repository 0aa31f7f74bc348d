import {PosternError} from '../core/errors.js'
import type {Address} from '../resources/endpoint.js'

/** What an invitation's or a reset's link says. */
export interface InviteLink {
  readonly proxy: Address
  /** The secret of the link. */
  readonly token: string
}

/** @throws PosternError USAGE; the link itself stays out of the message, since it holds the secret. */
export function parseInvite(text: string): InviteLink {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const token = /^\/web\/(?:invite|reset)\/([0-9a-zA-Z_-]+)\/?$/.exec(url?.pathname ?? '')?.[1]
  if (!url || token === undefined || url.protocol !== 'https:') {
    throw new PosternError('USAGE', 'This is not the link of an invitation.', {
      hint: 'It looks like https://PROXY/web/invite/SECRET; `postern users add` prints it.',
    })
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return {proxy: {host, port: url.port === '' ? 443 : Number(url.port)}, token}
}
