import {cstring, encodeMessage, endOfList} from './message.js'
import {backend} from './message-types.js'
import {PayloadCursor, type DecodeText, type Payload} from './payload.js'

/** The fields of an ErrorResponse or NoticeResponse that people read. */
export interface ServerError {
  /** `ERROR`, `FATAL`, `PANIC`, or for notices `WARNING`, `NOTICE`, `DEBUG`, `INFO`, `LOG`; never translated. */
  readonly severity: string
  /** SQLSTATE. */
  readonly code: string
  readonly message: string
  readonly detail?: string | undefined
  readonly hint?: string | undefined
}

/** Field codes: PostgreSQL documentation, "Error and Notice Message Fields". */
const fieldCodes = {localSeverity: 'S', severity: 'V', code: 'C', message: 'M', detail: 'D', hint: 'H'} as const

/** SQLSTATE of an error whose sender gave none (internal_error). */
const unknownCode = 'XX000'

function encodeFields(type: number, error: ServerError): Buffer {
  const fields = [
    [fieldCodes.localSeverity, error.severity],
    [fieldCodes.severity, error.severity],
    [fieldCodes.code, error.code],
    [fieldCodes.message, error.message],
    [fieldCodes.detail, error.detail],
    [fieldCodes.hint, error.hint],
  ] as const
  const present = fields.flatMap(([code, text]) =>
    text === undefined ? [] : [cstring(code + text.replaceAll('\0', ' '))],
  )
  return encodeMessage(type, ...present, endOfList)
}

/** An ErrorResponse as a server would send it. */
export function encodeErrorResponse(error: ServerError): Buffer {
  return encodeFields(backend.errorResponse, error)
}

/** A NoticeResponse as a server would send it. */
export function encodeNoticeResponse(notice: ServerError): Buffer {
  return encodeFields(backend.noticeResponse, notice)
}

/** Fields of an ErrorResponse or NoticeResponse. Whatever is missing or cut is filled in: an error must never be lost over its form. */
export function decodeServerError(payload: Payload, decode?: DecodeText): ServerError {
  const cursor = new PayloadCursor(payload, decode)
  const fields = new Map<string, string>()
  while (!cursor.stopped) {
    const code = cursor.uint8()
    if (code === 0) break
    fields.set(String.fromCharCode(code), cursor.text())
  }
  return {
    severity: fields.get(fieldCodes.severity) ?? fields.get(fieldCodes.localSeverity) ?? 'ERROR',
    code: fields.get(fieldCodes.code) ?? unknownCode,
    message: fields.get(fieldCodes.message) ?? 'The server gave no message.',
    detail: fields.get(fieldCodes.detail),
    hint: fields.get(fieldCodes.hint),
  }
}
