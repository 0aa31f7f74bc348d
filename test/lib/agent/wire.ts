import {Answers} from '../../../src/lib/agent/answers.js'
import {openedAnswers, readAnswer, readRequest} from '../../../src/lib/agent/audited-message.js'
import {Measurement} from '../../../src/lib/agent/measurement.js'
import {Requests} from '../../../src/lib/agent/requests.js'
import type {AuditEvent} from '../../../src/lib/audit/event.js'
import {SessionAudit} from '../../../src/lib/audit/session-audit.js'
import type {Spool} from '../../../src/lib/audit/spool.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {utf8} from '../../../src/lib/pgwire/client-encoding.js'
import {ClientStream} from '../../../src/lib/pgwire/client-stream.js'
import {cstring, encodeMessage, int32} from '../../../src/lib/pgwire/message.js'
import {backend, frontend} from '../../../src/lib/pgwire/message-types.js'
import {encodeErrorResponse} from '../../../src/lib/pgwire/server-error.js'
import {encodeReadyForQuery, type TransactionStatus} from '../../../src/lib/pgwire/server-messages.js'
import {counters, walkServer} from '../../../src/lib/pgwire/server-stream.js'
import {sessionFacts} from '../audit/facts.js'

export const int16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

/** A value of a parameter; NULL, text, or bytes in the binary format. */
export type Value = string | null | Buffer

/** What a client sends. */
export const ask = {
  query: (sql: string): Buffer => encodeMessage(frontend.query, cstring(sql)),
  parse: (name: string, sql: string, types: readonly number[] = []): Buffer =>
    encodeMessage(frontend.parse, cstring(name), cstring(sql), int16(types.length), ...types.map(int32)),
  bind: (
    portal: string,
    statement: string,
    values: readonly Value[] = [],
    resultFormats: readonly number[] = [],
  ): Buffer =>
    encodeMessage(
      frontend.bind,
      ...[cstring(portal), cstring(statement)],
      ...[int16(values.length), ...values.map((value) => int16(Buffer.isBuffer(value) ? 1 : 0))],
      ...[int16(values.length), ...values.flatMap(encodeValue)],
      ...[int16(resultFormats.length), ...resultFormats.map(int16)],
    ),
  describe: (kind: 'S' | 'P', name: string): Buffer =>
    encodeMessage(frontend.describe, Buffer.from(kind), cstring(name)),
  execute: (portal: string, rows = 0): Buffer => encodeMessage(frontend.execute, cstring(portal), int32(rows)),
  close: (kind: 'S' | 'P', name: string): Buffer => encodeMessage(frontend.close, Buffer.from(kind), cstring(name)),
  call: (oid: number, values: readonly Value[]): Buffer =>
    encodeMessage(
      frontend.functionCall,
      int32(oid),
      ...[int16(values.length), ...values.map((value) => int16(Buffer.isBuffer(value) ? 1 : 0))],
      ...[int16(values.length), ...values.flatMap(encodeValue)],
      int16(0),
    ),
  sync: encodeMessage(frontend.sync),
  flush: encodeMessage(frontend.flush),
  copyData: (text: string): Buffer => encodeMessage(frontend.copyData, Buffer.from(text)),
  copyDone: encodeMessage(frontend.copyDone),
  copyFail: encodeMessage(frontend.copyFail, cstring('no more')),
}

function encodeValue(value: Value): Buffer[] {
  if (value === null) return [int32(-1)]
  const bytes = Buffer.from(value)
  return [int32(bytes.length), bytes]
}

/** What a server answers. */
export const answer = {
  parsed: encodeMessage(backend.parseComplete),
  bound: encodeMessage(backend.bindComplete),
  closed: encodeMessage(backend.closeComplete),
  noData: encodeMessage(backend.noData),
  parameters: (...types: number[]): Buffer =>
    encodeMessage(backend.parameterDescription, int16(types.length), ...types.map(int32)),
  columns: (...columns: [name: string, type: number][]): Buffer =>
    encodeMessage(
      backend.rowDescription,
      int16(columns.length),
      ...columns.flatMap(([name, type]) => [
        ...[cstring(name), int32(0), int16(0), int32(type), int16(4), int32(-1), int16(0)],
      ]),
    ),
  row: (text = '1'): Buffer => encodeMessage(backend.dataRow, int16(1), int32(text.length), Buffer.from(text)),
  done: (tag: string): Buffer => encodeMessage(backend.commandComplete, cstring(tag)),
  empty: encodeMessage(backend.emptyQueryResponse),
  suspended: encodeMessage(backend.portalSuspended),
  result: encodeMessage(backend.functionCallResponse, int32(1), Buffer.from('7')),
  copyIn: encodeMessage(backend.copyInResponse, Buffer.from([0]), int16(0)),
  copyOut: encodeMessage(backend.copyOutResponse, Buffer.from([0]), int16(0)),
  copyBoth: encodeMessage(backend.copyBothResponse, Buffer.from([0]), int16(0)),
  copyData: (text: string): Buffer => encodeMessage(backend.copyData, Buffer.from(text)),
  copyDone: encodeMessage(backend.copyDone),
  error: (code: string, message = 'no'): Buffer => encodeErrorResponse({severity: 'ERROR', code, message}),
  ready: (status: TransactionStatus = 'I'): Buffer => encodeReadyForQuery(status),
}

/** The audit of a session whose two sides say what a test wants; chunks are cut into pieces of `step` bytes. */
export class Wire {
  /** In the order in which they were written. */
  readonly events: AuditEvent[] = []
  /** Lines of the spool's own. */
  readonly asked: AuditEvent[] = []
  readonly requests: Requests
  readonly #answers: Answers
  readonly audit: SessionAudit
  readonly #client = new ClientStream({captureBytes: 72 * 1024})
  readonly #server = walkServer(openedAnswers)
  readonly #step: number
  #serverBytes = 0

  constructor(step = 65_536) {
    this.#step = step
    const spool = {append: this.#append.bind(this)} as unknown as Spool
    this.audit = new SessionAudit(spool, systemClock, sessionFacts())
    const passed = {
      count: (counter: number) => this.#server.count(counter),
      copiedOut: () => this.#server.payloadBytes(counters.copyData),
      copiedIn: () => this.#client.copyBytes,
    }
    const measurement = new Measurement(systemClock, passed)
    this.requests = new Requests({audit: this.audit, measurement, longestName: 63, encoding: utf8})
    this.#answers = new Answers(this.audit, this.requests, measurement, passed)
  }

  /** The statements that have an event. */
  get statements(): AuditEvent[] {
    return this.events.filter(({event}) => event === 'db.session.query' || event === 'db.session.postgres.function')
  }

  client(...messages: readonly Buffer[]): this {
    for (const chunk of pieces(Buffer.concat(messages), this.#step)) {
      const {frames, sqlPiece, violation} = this.#client.read(chunk)
      if (violation) throw new Error(violation.reason)
      for (const frame of frames) {
        if (!readRequest(frame, this.audit, this.requests)) throw new Error('a message contradicts itself')
      }
      if (sqlPiece) this.audit.sqlPart(sqlPiece)
      this.audit.flush()
    }
    return this
  }

  server(...messages: readonly Buffer[]): this {
    for (const chunk of pieces(Buffer.concat(messages), this.#step)) {
      const {violation} = this.#server.walk(chunk, (frame) => {
        readAnswer(frame, this.#serverBytes + frame.end, this.#answers)
      })
      if (violation) throw new Error(violation.reason)
      this.#serverBytes += chunk.length
      this.audit.flush()
    }
    return this
  }

  /** The end of the session. */
  end(): ReturnType<Answers['end']> {
    const open = this.#answers.end(this.#serverBytes)
    this.audit.flush()
    return open
  }

  #append(lines: string): void {
    for (const text of lines.trimEnd().split('\n')) {
      const event = JSON.parse(text) as AuditEvent
      if ('asked' in event) this.asked.push(event)
      else this.events.push(event)
    }
  }
}

function* pieces(bytes: Buffer, step: number): Generator<Buffer> {
  for (let offset = 0; offset < bytes.length; offset += step) yield bytes.subarray(offset, offset + step)
}
