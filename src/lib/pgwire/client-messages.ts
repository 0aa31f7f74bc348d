/**
 * What clients send, decoded for the audit (PostgreSQL documentation, "Message Formats"). Each decoder gives undefined when
 * the payload contradicts itself; of a cut payload it gives what was captured. Texts are UTF-8 unless told otherwise.
 */
import {encodeMessage} from './message.js'
import {frontend} from './message-types.js'
import {PayloadCursor, type DecodeText, type Payload} from './payload.js'

export interface Query {
  readonly sql: string
  readonly sqlBytes: Buffer
}

export interface Parse {
  /** Empty for the unnamed statement. */
  readonly statement: string
  readonly sql: string
  readonly sqlBytes: Buffer
  /** Object ids; 0 leaves the type to the server. */
  readonly parameterTypes: readonly number[]
}

/** A parameter's bytes, null for NULL. */
export type ParameterValue = Buffer | null

export interface Bind {
  /** Empty for the unnamed portal. */
  readonly portal: string
  readonly statement: string
  /** 0 text, 1 binary; none, one for all, or one per parameter. */
  readonly formats: readonly number[]
  readonly parameters: readonly ParameterValue[]
  /** The last of these is not whole. */
  readonly isCut?: boolean | undefined
  readonly resultFormats: readonly number[]
}

export interface Execute {
  readonly portal: string
  /** 0 for all rows. */
  readonly maximumRows: number
}

/** The subject of a Describe or Close. */
export interface Target {
  readonly kind: 'statement' | 'portal'
  readonly name: string
}

export interface FunctionCall {
  readonly functionOid: number
  readonly formats: readonly number[]
  readonly parameters: readonly ParameterValue[]
  /** The last of these is not whole. */
  readonly isCut?: boolean | undefined
  readonly resultFormat: number
}

/** How a client says goodbye. */
export const terminate = encodeMessage(frontend.terminate)

export function decodeQuery(payload: Payload, decode?: DecodeText): Query | undefined {
  const cursor = new PayloadCursor(payload, decode)
  const sqlBytes = cursor.textBytes()
  return cursor.finish({sql: cursor.decoded(sqlBytes), sqlBytes})
}

export function decodeParse(payload: Payload, decode?: DecodeText): Parse | undefined {
  const cursor = new PayloadCursor(payload, decode)
  const statement = cursor.text()
  const sqlBytes = cursor.textBytes()
  const sql = cursor.decoded(sqlBytes)
  const parameterTypes = readList(cursor, () => cursor.uint32())
  return cursor.finish({statement, sql, sqlBytes, parameterTypes})
}

export function decodeBind(payload: Payload, decode?: DecodeText): Bind | undefined {
  const cursor = new PayloadCursor(payload, decode)
  const portal = cursor.text()
  const statement = cursor.text()
  const {formats, parameters, isCut} = readParameters(cursor)
  const resultFormats = readList(cursor, () => cursor.uint16())
  return cursor.finish({portal, statement, formats, parameters, isCut, resultFormats})
}

export function decodeExecute(payload: Payload, decode?: DecodeText): Execute | undefined {
  const cursor = new PayloadCursor(payload, decode)
  const portal = cursor.text()
  const maximumRows = Math.max(0, cursor.int32())
  return cursor.finish({portal, maximumRows})
}

/** Decodes Describe and Close, which look alike. */
export function decodeTarget(payload: Payload, decode?: DecodeText): Target | undefined {
  const cursor = new PayloadCursor(payload, decode)
  const letter = String.fromCharCode(cursor.uint8())
  const name = cursor.text()
  if (letter === 'S') return cursor.finish({kind: 'statement', name})
  return letter === 'P' ? cursor.finish({kind: 'portal', name}) : undefined
}

export function decodeFunctionCall(payload: Payload): FunctionCall | undefined {
  const cursor = new PayloadCursor(payload)
  const functionOid = cursor.uint32()
  const {formats, parameters, isCut} = readParameters(cursor)
  const resultFormat = cursor.uint16()
  return cursor.finish({functionOid, formats, parameters, isCut, resultFormat})
}

/** An Int16 count and as many items. */
function readList<T>(cursor: PayloadCursor, read: () => T): T[] {
  const count = cursor.uint16()
  const items: T[] = []
  while (items.length < count) {
    const item = read()
    if (cursor.stopped) break
    items.push(item)
  }
  return items
}

function readParameters(cursor: PayloadCursor): Pick<Bind, 'formats' | 'parameters' | 'isCut'> {
  const formats = readList(cursor, () => cursor.uint16())
  const count = cursor.uint16()
  // The server applies the same rule; without it we and the server could read different values.
  if (!cursor.stopped && formats.length > 1 && formats.length !== count) cursor.reject()
  const parameters: ParameterValue[] = []
  while (parameters.length < count) {
    const length = cursor.int32()
    if (cursor.stopped) break
    parameters.push(length === -1 ? null : cursor.bytes(length))
  }
  return {formats, parameters, isCut: cursor.stopped || undefined}
}
