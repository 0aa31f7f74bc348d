import {encodeNoticeResponse} from '../pgwire/server-error.js'
import {
  authenticationOk,
  encodeBackendKeyData,
  encodeParameterStatus,
  encodeReadyForQuery,
  type BackendKey,
} from '../pgwire/server-messages.js'
import type {SignedIn} from '../pgwire/sign-in.js'

/** Without a key psql ignores Ctrl-C in silence, as do drivers (case C04). */
const cannotCancel = encodeNoticeResponse({
  severity: 'NOTICE',
  code: '00000',
  message: 'This database server cannot cancel queries: Ctrl-C will not stop one.',
  hint: 'Close the connection instead.',
})

interface Welcome {
  /** The answer to a protocol version that is not spoken. */
  readonly negotiation: Buffer | undefined
  /** What the client may cancel with; absent when the server gave no key. */
  readonly key: BackendKey | undefined
}

/** What a client is told when the database has let it in, in the order of the protocol. */
export function encodeWelcome(signedIn: SignedIn, {negotiation, key}: Welcome): Buffer {
  return Buffer.concat([
    ...(negotiation ? [negotiation] : []),
    authenticationOk,
    ...signedIn.parameterStatus.map(([name, value]) => encodeParameterStatus(name, value)),
    key ? encodeBackendKeyData(key) : cannotCancel,
    ...signedIn.notices.map(encodeNoticeResponse),
    encodeReadyForQuery(signedIn.transactionStatus),
  ])
}
