/**
 * What servers send: encoders for a proxy that speaks as one, decoders for one that listens (PostgreSQL documentation,
 * "Message Formats"). Decoders give undefined when the payload contradicts itself.
 */
import {cstring, encodeMessage, int32} from './message.js'
import {backend} from './message-types.js'
import {PayloadCursor, type DecodeText, type Payload} from './payload.js'

/** Idle, in a transaction block, in a failed transaction block. */
export type TransactionStatus = 'I' | 'T' | 'E'

/** What a client presents on another connection to have its query cancelled. */
export interface BackendKey {
  /** The process id of the server, or whatever number a pooler gave; libpq compares it. */
  readonly pid: number
  /** 4 bytes in protocol 3.0, up to 256 in 3.2. */
  readonly secret: Buffer
}

export interface CommandTag {
  /** The command's words: `SELECT`, `CREATE TABLE`. */
  readonly command: string
  /** Rows read or changed, where the server counts them. */
  readonly rows?: number
}

export interface Column {
  readonly name: string
  /** Object id of the column's type. */
  readonly type: number
}

const secretBytes = {smallest: 4, largest: 256} as const

/** Whether a cancel secret has a length that protocol 3.2 knows. */
export function isSecretLength(length: number): boolean {
  return length >= secretBytes.smallest && length <= secretBytes.largest
}

export const authenticationOk = encodeMessage(backend.authentication, int32(0))

export function encodeParameterStatus(name: string, value: string): Buffer {
  return encodeMessage(backend.parameterStatus, cstring(name), cstring(value))
}

export function encodeBackendKeyData({pid, secret}: BackendKey): Buffer {
  return encodeMessage(backend.backendKeyData, int32(pid), secret)
}

export function encodeReadyForQuery(status: TransactionStatus): Buffer {
  return encodeMessage(backend.readyForQuery, Buffer.from(status))
}

export function decodeParameterStatus(payload: Payload): {name: string; value: string} | undefined {
  const cursor = new PayloadCursor(payload)
  const name = cursor.text()
  const value = cursor.text()
  return cursor.finish({name, value})
}

export function decodeBackendKeyData(payload: Payload): BackendKey | undefined {
  const cursor = new PayloadCursor(payload)
  const pid = cursor.int32()
  const secret = cursor.rest()
  return isSecretLength(secret.length) ? cursor.finish({pid, secret}) : undefined
}

export function decodeReadyForQuery(payload: Payload): TransactionStatus | undefined {
  const cursor = new PayloadCursor(payload)
  const status = String.fromCharCode(cursor.uint8())
  return status === 'I' || status === 'T' || status === 'E' ? cursor.finish(status) : undefined
}

/** `SELECT 5`, `INSERT 0 5` (an object id before the count), `CREATE TABLE`. */
export function decodeCommandComplete(payload: Payload): CommandTag | undefined {
  const cursor = new PayloadCursor(payload)
  const tag = cursor.text()
  const counted = /^(\D+?)(?: \d+)? (\d+)$/.exec(tag)
  return cursor.finish(counted?.[1] ? {command: counted[1], rows: Number(counted[2])} : {command: tag})
}

/** Object ids of the types of a statement's parameters. */
export function decodeParameterDescription(payload: Payload): number[] | undefined {
  const cursor = new PayloadCursor(payload)
  const count = cursor.uint16()
  const types: number[] = []
  while (types.length < count) {
    const type = cursor.uint32()
    if (cursor.stopped) break
    types.push(type)
  }
  return cursor.finish(types)
}

/** Also in the form that Redshift has for its own drivers: each column goes on with what is known of its table. */
export function decodeRowDescription(payload: Payload, decode?: DecodeText): Column[] | undefined {
  return readColumns(payload, decode, () => undefined) ?? readColumns(payload, decode, skipRedshiftColumn)
}

/** Its schema, table, name there and catalog, and bits (QueryExecutorImpl.receiveFields of amazon-redshift-jdbc-driver). */
function skipRedshiftColumn(cursor: PayloadCursor): void {
  for (let name = 0; name < 4; name += 1) cursor.textBytes()
  cursor.uint16()
}

function readColumns(
  payload: Payload,
  decode: DecodeText | undefined,
  skipMore: (cursor: PayloadCursor) => void,
): Column[] | undefined {
  const cursor = new PayloadCursor(payload, decode)
  const count = cursor.uint16()
  const columns: Column[] = []
  while (columns.length < count) {
    const name = cursor.text()
    cursor.uint32() // table
    cursor.uint16() // number of the column in it
    const type = cursor.uint32()
    cursor.uint16() // type's size
    cursor.int32() // type's modifier
    cursor.uint16() // format
    skipMore(cursor)
    if (cursor.stopped) break
    columns.push({name, type})
  }
  return cursor.finish(columns)
}
