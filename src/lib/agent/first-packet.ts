import type {TLSSocket} from 'node:tls'
import {readExactly, withDeadline} from '../pgwire/exact-read.js'
import {readFirstPacket, type FirstPacket} from '../pgwire/first-packet.js'

const headerBytes = 8
const noEncryption = 'N'

/** The packets that begin a session or cancel a query, and those that cannot be. */
export type Opening = Extract<FirstPacket, {kind: 'startup' | 'cancel' | 'invalid'}>

/**
 * The first packet of a client inside TLS, within so many milliseconds. A request for GSSAPI encryption is refused once,
 * as PostgreSQL does; one for TLS inside of TLS is a violation. @throws PosternError when the client goes or is silent
 */
export function readOpening(socket: TLSSocket, timeoutMilliseconds: number): Promise<Opening> {
  const deadline = {timeout: timeoutMilliseconds, sentence: 'The client did not send its startup message in time.'}
  return withDeadline(socket, deadline, async () => {
    const packet = await readPacket(socket)
    if (packet.kind !== 'gssenc-request') return expectOpening(packet)
    socket.write(noEncryption)
    return expectOpening(await readPacket(socket))
  })
}

/** The codec refuses lengths above 10,000 bytes from the header alone. */
async function readPacket(socket: TLSSocket): Promise<FirstPacket> {
  const header = await readExactly(socket, headerBytes)
  const packet = readFirstPacket(header)
  if (packet.kind !== 'incomplete') return packet
  const rest = await readExactly(socket, header.readUInt32BE(0) - headerBytes)
  return readFirstPacket(Buffer.concat([header, rest]))
}

function expectOpening(packet: FirstPacket): Opening {
  if (packet.kind === 'startup' || packet.kind === 'cancel' || packet.kind === 'invalid') return packet
  return {
    kind: 'invalid',
    sqlState: '08P01',
    reason: 'The connection is encrypted already; the client asked for it again.',
  }
}
