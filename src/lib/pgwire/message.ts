import {PosternError} from '../core/errors.js'

/** How messages are put together: a type byte, an Int32 that counts itself and the payload, the payload. */

const lengthBytes = 4
const nul = Buffer.from([0])

/** One typed message from the parts of its payload. */
export function encodeMessage(type: number, ...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([type]), encodeUntyped(...parts)])
}

/** One message of the time before authentication, which has no type byte. */
export function encodeUntyped(...parts: readonly Buffer[]): Buffer {
  const payload = parts.reduce((total, part) => total + part.length, 0)
  return Buffer.concat([int32(lengthBytes + payload), ...parts])
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/**
 * Text with its terminator.
 * @throws PosternError INVALID when the text holds a NUL: it would end early and shift every later field.
 */
export function cstring(text: string): Buffer {
  if (text.includes('\0')) throw new PosternError('INVALID', 'A text for the database server holds a NUL character.')
  return Buffer.concat([Buffer.from(text, 'utf8'), nul])
}

/** The byte after the last field of a list. */
export const endOfList = nul
