import {binaryText} from './binary-values.js'
import type {ParameterValue} from './client-messages.js'
import {decodeText, type DecodeText} from './payload.js'

const textFormat = 0

export interface Parameters {
  /** 0 text, 1 binary; none for all text, one for all, or one per parameter. */
  readonly formats: readonly number[]
  readonly parameters: readonly ParameterValue[]
  /** The last of these is not whole. */
  readonly isCut?: boolean | undefined
}

/**
 * Parameters as text for the audit: text as it is, binary values decoded where their type is known, else in base64; null
 * for NULL.
 * @param typeIds object ids of the parameters' types, 0 or nothing where they are not known
 * @param decode reads what is text, UTF-8 unless told otherwise
 */
export function renderParameters(
  {formats, parameters, isCut}: Parameters,
  typeIds: readonly number[] = [],
  decode: DecodeText = decodeText,
): (string | null)[] {
  const common = formats.length === 0 ? textFormat : formats.length === 1 ? formats[0] : undefined
  const rendered: (string | null)[] = []
  for (let index = 0; index < parameters.length; index += 1) {
    const value = parameters[index] ?? null
    if (value === null) rendered.push(null)
    else if ((common ?? formats[index]) === textFormat)
      rendered.push(decode(value, isCut && index === parameters.length - 1))
    else rendered.push(binaryText(typeIds[index] ?? 0, value, decode) ?? value.toString('base64'))
  }
  return rendered
}
