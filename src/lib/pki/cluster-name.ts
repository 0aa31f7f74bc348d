import {X509Certificate} from 'node:crypto'
import {PosternError} from '../core/errors.js'

/**
 * The cluster that an authority belongs to, as its subject says.
 * @throws PosternError UNTRUSTED when it names none.
 */
export function clusterNameOf(authority: string): string {
  const name: unknown = new X509Certificate(authority).toLegacyObject().subject.O
  if (typeof name === 'string' && name !== '') return name
  throw new PosternError('UNTRUSTED', 'The host CA of the cluster does not say which cluster it belongs to.')
}
