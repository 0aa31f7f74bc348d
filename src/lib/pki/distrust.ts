import {messageOf} from '../core/errors.js'

/** Node 24 adds what flag of its own to try, which is nothing that our users could do. */
const adviceOfNode = /; if the root CA is installed locally.*$/s

/** Why a certificate is not trusted, in OpenSSL's words and without a full stop. */
export function reasonOfDistrust(error: unknown): string {
  return messageOf(error).replace(adviceOfNode, '')
}
