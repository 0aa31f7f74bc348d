/**
 * Asks a PostgreSQL server for TLS (PostgreSQL documentation, "SSL Session Encryption"):
 *
 *   us                                server
 *    ── SSLRequest ───────────────────►
 *    ◄─ 'S', and nothing behind it ────    TLS begins
 *    ◄─ 'N' or an ErrorResponse ───────    no TLS: the end, as nothing is ever sent in clear
 *
 * Bytes behind the 'S' come from somebody who wants them taken for the server's after the upgrade (CVE-2021-23222).
 */
import type {Socket} from 'node:net'
import {PosternError} from '../core/errors.js'
import {readExactly, withDeadline} from './exact-read.js'
import {sslRequest} from './first-packet.js'

const answers = {yes: 0x53, no: 0x4e, error: 0x45} as const

/**
 * Resolves when the server is ready for the ClientHello. On any failure the socket is destroyed.
 * @param options.timeout milliseconds.
 * @throws PosternError UNREACHABLE when the server has no TLS, fails or does not answer in time, UNTRUSTED when it sends
 * more than its answer.
 */
export async function requestTls(socket: Socket, {timeout}: {readonly timeout: number}): Promise<void> {
  const sentence = 'The database server did not answer the request for TLS in time.'
  await withDeadline(socket, {timeout, sentence}, async () => {
    socket.write(sslRequest)
    const answer = (await readExactly(socket, 1)).readUInt8()
    if (answer === answers.yes) checkNothingBehind(socket)
    else throw refusal(answer)
  })
}

function checkNothingBehind(socket: Socket): void {
  if (socket.readableLength === 0) return
  throw new PosternError(
    'UNTRUSTED',
    "Unencrypted data followed the database server's agreement to TLS: a possible man in the middle.",
    {hint: 'Check the network between this host and the database.'},
  )
}

function refusal(answer: number): PosternError {
  switch (answer) {
    case answers.no:
      return new PosternError('UNREACHABLE', 'The database server does not offer TLS, so nothing was sent to it.', {
        hint: 'Turn on TLS in the database server ("ssl = on" and a certificate).',
      })
    case answers.error:
      // Its text comes in clear from an unknown sender, so it is not shown.
      return new PosternError('UNREACHABLE', 'The database server answered the request for TLS with an error.', {
        hint: "Look for the cause in the database server's own log.",
      })
    default:
      return new PosternError('UNREACHABLE', 'What answers at the address of the database is no PostgreSQL server.')
  }
}
