/** The client's side of a session after sign-in, walked so that the relay can audit a message before it forwards its end. */
import {FrameWalker, type Frame, type FrameRule, type Walked} from './frames.js'
import {frontend} from './message-types.js'
import {SqlDigest} from './sql-digest.js'

/** PostgreSQL's own limits (pqcomm.h), so that we refuse what the server would refuse and nothing else. */
const largeLength = 0x3fff_fffe
const smallLength = 10_000

const audited: FrameRule = {maximumLength: largeLength, report: 'capture'}
const copyDataCounter = 1
/** Of a COPY there are millions. */
const unreported: FrameRule = {maximumLength: largeLength, report: 'skip', counter: copyDataCounter}
const auditedSmall: FrameRule = {maximumLength: smallLength, report: 'capture'}
const countedSmall: FrameRule = {maximumLength: smallLength, report: 'header'}

/** A type that is not here must not come after sign-in: a password or a second startup message least of all. */
const rules: ReadonlyMap<number, FrameRule> = new Map([
  [frontend.query, audited],
  [frontend.parse, audited],
  [frontend.bind, audited],
  [frontend.functionCall, audited],
  [frontend.execute, auditedSmall],
  [frontend.close, auditedSmall],
  [frontend.copyData, unreported],
  [frontend.copyDone, countedSmall],
  [frontend.copyFail, countedSmall],
  [frontend.describe, auditedSmall],
  [frontend.flush, countedSmall],
  [frontend.sync, countedSmall],
  [frontend.terminate, countedSmall],
])

export interface ClientFrame extends Frame {
  /** Bytes of COPY data before it, of the whole stream; absent for none. */
  readonly copyBytes?: number
  /** Hex SHA-256 of the SQL of a Query or Parse whose payload was too large to be kept whole. */
  readonly sqlSha256?: string | undefined
  /** Of such SQL, the last piece; earlier ones came with earlier chunks. */
  readonly sqlPiece?: Buffer | undefined
}

export interface ClientChunk extends Walked {
  /** Messages that end in the chunk, in order, without COPY data. */
  readonly frames: readonly ClientFrame[]
  /** The next piece of SQL that is too large to be kept, and whose message does not end in the chunk. */
  readonly sqlPiece?: Buffer | undefined
}

const ruleOf = (type: number): FrameRule | undefined => rules.get(type)

/**
 * Reads what a client sends. The server acts on a message only when it has its last byte, so a relay that audits `frames`
 * and then forwards the chunk up to `safe` (or up to an earlier frame's `end`) has audited before the server acts.
 */
export class ClientStream {
  readonly #walker: FrameWalker
  readonly #digest = new SqlDigest()
  #sqlPiece: Buffer | undefined

  /** @param captureBytes how much of one message's payload is kept for the audit. */
  constructor({captureBytes}: {readonly captureBytes: number}) {
    this.#walker = new FrameWalker({
      sender: 'client',
      captureBytes,
      ruleOf,
      onOversize: (type, piece, offset) => {
        this.#sqlPiece = this.#digest.update(type, piece, offset)
      },
    })
  }

  /** Whether the client stands between two messages; false at its end means that it left in the middle of one. */
  get atBoundary(): boolean {
    return this.#walker.atBoundary
  }

  /** Bytes of COPY data so far. */
  get copyBytes(): number {
    return this.#walker.payloadBytes(copyDataCounter)
  }

  read(chunk: Buffer): ClientChunk {
    const frames: ClientFrame[] = []
    const walked = this.#walker.walk(chunk, (frame) => {
      const cut = frame.payload.length > 0 && frame.payload.length < frame.size
      const {copyBytes} = this
      const counted = copyBytes === 0 ? frame : {...frame, copyBytes}
      frames.push(cut ? {...counted, sqlSha256: this.#digest.finish(), sqlPiece: this.#takePiece()} : counted)
    })
    return {...walked, frames, sqlPiece: this.#takePiece()}
  }

  #takePiece(): Buffer | undefined {
    const piece = this.#sqlPiece
    this.#sqlPiece = undefined
    return piece
  }
}
