import type {Bind} from './client-messages.js'
import {decodeText} from './payload.js'

const textFormat = 0

/**
 * Parameters for the audit: text as text, binary values as base64, null for NULL. No format code means text for all, one
 * code is for all.
 */
export function renderParameters({formats, parameters}: Pick<Bind, 'formats' | 'parameters'>): (string | null)[] {
  return parameters.map((value, index) => {
    if (value === null) return null
    const format = (formats.length === 1 ? formats[0] : formats[index]) ?? textFormat
    return format === textFormat ? decodeText(value) : value.toString('base64')
  })
}
