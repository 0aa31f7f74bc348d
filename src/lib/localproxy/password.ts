import {createHash, timingSafeEqual} from 'node:crypto'
import type {Socket} from 'node:net'
import {PosternError} from '../core/errors.js'
import type {Secret} from '../core/secret.js'
import {backend, frontend} from '../pgwire/message-types.js'
import {encodeMessage, int32} from '../pgwire/message.js'
import {readUntil} from './first-bytes.js'

/** AuthenticationCleartextPassword (PostgreSQL documentation, "Message Formats"). */
const request = encodeMessage(backend.authentication, int32(3))
const limits = {bytes: 4096, milliseconds: 10_000}
const headerBytes = 5

/**
 * Asks a local client for the tunnel's password; where the system cannot tell who connects, it is what keeps others out.
 * @throws PosternError ACCESS_DENIED when it is another one
 */
export async function demandPassword(client: Socket, expected: Secret): Promise<void> {
  client.write(request)
  const given = await readUntil(client, limits, (bytes) => {
    if (bytes.length < headerBytes) return undefined
    const end = 1 + bytes.readUInt32BE(1)
    if (bytes[0] !== frontend.password || end <= headerBytes) return {answer: undefined, used: 0}
    // Without the NUL at its end.
    return bytes.length < end ? undefined : {answer: bytes.subarray(headerBytes, end - 1), used: end}
  })
  if (given && timingSafeEqual(digest(given), digest(expected.reveal()))) return
  throw new PosternError('ACCESS_DENIED', 'This is not the password of this tunnel.', {
    hint: 'Use the password that `postern proxy db` printed.',
  })
}

function digest(value: string | Uint8Array): Buffer {
  return createHash('sha256').update(value).digest()
}
