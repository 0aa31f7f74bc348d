/** Streams after sign-in, and a server during it: in any segments they are what they are in one piece. */
import {isDeepStrictEqual} from 'node:util'
import {createHash} from 'node:crypto'
import fc from 'fast-check'
import {PosternError} from '../../src/lib/core/errors.js'
import {Secret} from '../../src/lib/core/secret.js'
import {
  decodeBind,
  decodeExecute,
  decodeFunctionCall,
  decodeParse,
  decodeQuery,
  decodeTarget,
} from '../../src/lib/pgwire/client-messages.js'
import {ClientStream} from '../../src/lib/pgwire/client-stream.js'
import type {Frame, Walked} from '../../src/lib/pgwire/frames.js'
import {backend, frontend} from '../../src/lib/pgwire/message-types.js'
import {decodeServerError} from '../../src/lib/pgwire/server-error.js'
import {decodeCommandComplete, decodeReadyForQuery, decodeRowDescription} from '../../src/lib/pgwire/server-messages.js'
import {walkServer} from '../../src/lib/pgwire/server-stream.js'
import {signIn} from '../../src/lib/pgwire/sign-in.js'
import {openSocketPair} from '../lib/pgwire/socket-pair.js'
import {applyChanges, changes, cuts, fuzz, prototypeIsClean, segments, type Change} from './bounded.js'
import {clientStreams, serverStreams} from './cases.js'
import {clientMessage, hostileMessage, serverMessage, signInMessage} from './messages.js'

interface Seen {
  readonly type: number
  readonly size: number
  readonly payload: string
  readonly sql: string | undefined
}

interface Reading {
  readonly frames: readonly Seen[]
  /** How many of the bytes may be forwarded. */
  readonly safe: number
  readonly violated: boolean
}

/** The messages of a stream by its headers alone: an Int32 that counts itself behind each type. */
function messagesIn(bytes: Buffer): {type: number; payload: Buffer; end: number}[] {
  const found = []
  for (let at = 0; at + 5 <= bytes.length;) {
    const end = at + 1 + bytes.readUInt32BE(at + 1)
    if (end < at + 5 || end > bytes.length) break
    found.push({type: bytes.readUInt8(at), payload: bytes.subarray(at + 5, end), end})
    at = end
  }
  return found
}

function readAll(
  pieces: readonly Buffer[],
  read: (piece: Buffer) => Walked & {readonly frames: readonly Seen[]},
): Reading {
  const frames: Seen[] = []
  let safe = 0
  let violated = false
  for (const piece of pieces) {
    const walked = read(piece)
    frames.push(...walked.frames)
    safe += walked.safe
    violated ||= walked.violation !== undefined
    if (violated) break
  }
  return {frames, safe, violated}
}

function see({type, size, payload}: Frame, sql?: string): Seen {
  return {type, size, payload: payload.toString('latin1'), sql}
}

/** Every decoder that a payload could meet: none throws, whatever it is given. */
function decodeAll(frame: Frame): void {
  for (const decode of [decodeQuery, decodeParse, decodeBind, decodeExecute, decodeTarget, decodeFunctionCall])
    decode(frame)
  for (const decode of [decodeServerError, decodeCommandComplete, decodeReadyForQuery, decodeRowDescription])
    decode(frame)
}

const clientBytes = fc
  .tuple(
    fc.array(fc.oneof({weight: 9, arbitrary: clientMessage}, {weight: 1, arbitrary: hostileMessage}), {maxLength: 12}),
    changes,
  )
  .map(([messages, list]) => applyChanges(Buffer.concat(messages), list))

function readClient(pieces: readonly Buffer[], captureBytes: number): Reading {
  const stream = new ClientStream({captureBytes})
  return readAll(pieces, (piece) => {
    const {frames, ...walked} = stream.read(piece)
    for (const frame of frames) decodeAll(frame)
    return {...walked, frames: frames.map((frame) => see(frame, frame.sqlSha256))}
  })
}

fuzz(
  'client stream',
  "a client's stream has the same messages in any segments, and no byte behind a violation is forwarded",
  fc.property(clientBytes, cuts, fc.constantFrom(40, 1000, 73_728), (bytes, places, captureBytes) => {
    const whole = readClient([bytes], captureBytes)
    const cut = readClient(segments(bytes, places), captureBytes)
    const expected = messagesIn(bytes).filter(({type, end}) => type !== frontend.copyData && end <= whole.safe)
    if (whole.violated !== cut.violated || !isDeepStrictEqual(whole.frames, cut.frames)) return false
    if (whole.frames.length !== expected.length) return false
    // Up to 4 bytes of a header that turns out to be impossible may have gone out before.
    const spill = cut.safe - whole.safe
    return (
      prototypeIsClean() &&
      (whole.violated ? spill >= 0 && spill <= 4 : whole.safe === bytes.length && spill === 0) &&
      whole.frames.every((frame, index) => isFrameOf(frame, expected[index], captureBytes))
    )
  }),
  clientStreams.map((bytes) => [bytes, [0.2, 0.5], 1000]),
)

function isFrameOf(
  {type, size, payload, sql}: Seen,
  message: {readonly type: number; readonly payload: Buffer} | undefined,
  captureBytes: number,
): boolean {
  // However long a message is, no more of it is kept.
  if (message?.type !== type || message.payload.length !== size || payload.length > captureBytes) return false
  if (payload !== '' && payload !== message.payload.toString('latin1', 0, captureBytes)) return false
  if (sql === undefined) return true
  const start = type === frontend.parse ? message.payload.indexOf(0) + 1 : 0
  const end = message.payload.indexOf(0, start)
  const text = message.payload.subarray(start, end < 0 ? size : end)
  return createHash('sha256').update(text).digest('hex') === sql
}

const serverBytes = fc
  .tuple(fc.array(serverMessage, {maxLength: 20}), changes)
  .map(([messages, list]) => applyChanges(Buffer.concat(messages), list))

const wanted = [backend.commandComplete, backend.errorResponse, backend.readyForQuery, backend.rowDescription]

function readServer(pieces: readonly Buffer[], captureBytes: number): Reading {
  const walker = walkServer(wanted, captureBytes)
  return readAll(pieces, (piece) => {
    const frames: Seen[] = []
    const walked = walker.walk(piece, (frame) => {
      decodeAll(frame)
      frames.push(see(frame))
    })
    return {...walked, frames}
  })
}

fuzz(
  'server stream',
  "a server's stream has the same messages in any segments",
  fc.property(serverBytes, cuts, fc.constantFrom(10, 65_536), (bytes, places, captureBytes) => {
    const whole = readServer([bytes], captureBytes)
    const cut = readServer(segments(bytes, places), captureBytes)
    const expected = messagesIn(bytes).filter(({type, end}) => wanted.includes(type as never) && end <= whole.safe)
    const seen = expected.map(({type, payload}) =>
      see({type, size: payload.length, payload: payload.subarray(0, captureBytes), end: 0}),
    )
    return (
      whole.violated === cut.violated &&
      isDeepStrictEqual(whole.frames, cut.frames) &&
      isDeepStrictEqual(whole.frames, seen) &&
      (whole.violated || whole.safe === bytes.length)
    )
  }),
  serverStreams.map((bytes) => [bytes, [0.2, 0.5], 65_536]),
)

fuzz(
  'server stream',
  'a server that says anything during the sign-in is answered, refused or left, in the end',
  fc.asyncProperty(fc.array(signInMessage, {maxLength: 8}), changes, cuts, async (messages, list, places) => {
    const pair = await openSocketPair()
    try {
      pair.server.resume()
      for (const piece of segments(applyChanges(Buffer.concat(messages), list), places)) pair.server.write(piece)
      pair.server.end()
      const request = {
        ...{user: 'alice', database: 'postgres', parameters: new Map<string, string>(), allowCleartext: false},
        authenticator: {kind: 'password', password: new Secret('correct horse')} as const,
      }
      const result = await signIn(pair.client, request, {timeout: 120_000}).catch((error: unknown) => error)
      return result instanceof PosternError || (typeof result === 'object' && result !== null && 'ok' in result)
    } finally {
      pair.close()
    }
  }),
  serverStreams.map((bytes): [Buffer[], Change[], number[]] => [[bytes], [], [0.4]]),
)
