/** What a client sent, as it sent it, and how the server answered: for drivers that cannot be run here. */
import type {TLSSocket} from 'node:tls'
import {encodeStartup} from '../../../src/lib/pgwire/first-packet.js'
import {frontend} from '../../../src/lib/pgwire/message-types.js'
import {MessageReader} from '../../lib/agent/rig.js'

export interface Recording {
  /** Minor version of protocol 3 that it asks for. */
  readonly minor: number
  readonly startup: ReadonlyMap<string, string>
  readonly flights: readonly Flight[]
}

/** What the client writes at once, and the types of the messages that come back before it writes again. */
interface Flight {
  readonly sent: readonly Buffer[]
  /** Rows and pieces of COPY data are one letter each, however many there are. */
  readonly answered: string
}

/** A value in the binary format. */
export const hex = (digits: string): Buffer => Buffer.from(digits, 'hex')

interface Replayed {
  readonly opening: string
  readonly answers: readonly string[]
  /** Answers that came in more pieces than a server flushes: when it is ready, after errors, when asked, after 8 KiB. */
  readonly split: readonly string[]
}

/** Sends a recording on a connection after its TLS handshake, flight by flight, to the client's end of it. */
export async function replay(socket: TLSSocket, {minor, startup, flights}: Recording): Promise<Replayed> {
  let pieces = 0
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    pieces += 1
    bytes += chunk.length
  })
  const reader = new MessageReader(socket)
  socket.write(encodeStartup(minor, startup))
  const opening = squeeze((await reader.until('Z')).map(({type}) => type).join(''))
  const answers: string[] = []
  const split: string[] = []
  for (const {sent, answered} of flights) {
    pieces = 0
    bytes = 0
    socket.write(Buffer.concat(sent))
    const answer = await answerLike(answered, reader)
    answers.push(answer)
    const asked = sent.filter((message) => message[0] === frontend.flush).length
    const flushes = (answer.match(/[ZEG]/g) ?? []).length + asked + Math.floor(bytes / flushBytes)
    if (pieces > flushes) split.push(`${answer} in ${pieces} pieces`)
  }
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
  return {opening, answers, split}
}

/** PostgreSQL's PQ_SEND_BUFFER_SIZE. */
const flushBytes = 8192

/** Reads up to the message that would be the last one, or to the end of the connection. */
async function answerLike(answered: string, reader: MessageReader): Promise<string> {
  const last = answered.slice(-1)
  const times = answered.split(last).length - 1
  let types = ''
  for (let seen = 0; answered !== '' && seen < times;) {
    const message = await reader.next()
    if (!message) break
    types += message.type
    if (message.type === last) seen += 1
  }
  return squeeze(types)
}

function squeeze(types: string): string {
  return types.replace(/([DdS])\1+/g, '$1')
}
