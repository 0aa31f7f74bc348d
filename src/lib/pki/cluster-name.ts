import {X509Certificate} from 'node:crypto'
import {PosternError} from '../core/errors.js'

/**
 * The cluster that an authority belongs to, as its subject says.
 * @throws PosternError UNTRUSTED when it names none.
 */
export function clusterNameOf(authority: string): string {
  // Not with toLegacyObject(): on Node 20 it takes tls.createSecureContext from the process when it runs before tls is loaded.
  const name = /^O=(.+)$/m.exec(new X509Certificate(authority).subject)?.[1]
  if (name !== undefined) return name
  throw new PosternError('UNTRUSTED', 'The host CA of the cluster does not say which cluster it belongs to.')
}
