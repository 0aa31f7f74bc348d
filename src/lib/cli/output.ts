import {printableLines} from '../core/printable.js'
import type {Format} from './flags.js'

export const jsonIndent = 4

/**
 * What data must be to be printed: all keys are in snake_case, as those of resources and events. Where any key may stand
 * (labels, traits, environment variables) they are the user's, and an `object` that says nothing of its keys is spelled
 * by somebody else, such as AWS.
 */
export type Printable<T> = T extends readonly (infer Item)[]
  ? readonly Printable<Item>[]
  : T extends object
    ? {
        readonly [Key in keyof T]: string extends Key
          ? T[Key]
          : Key extends Lowercase<Key & string>
            ? Printable<T[Key]>
            : never
      }
    : T

/**
 * Data as the user wants it. Names and texts in it come from elsewhere: what could move the cursor of a terminal is escaped.
 * @param text renders it for people; not called for the other formats
 */
export async function formatData<T>(
  format: Format,
  data: T & NoInfer<Printable<T>>,
  text: () => string | Promise<string>,
): Promise<string> {
  if (format === 'json') return toJson(data)
  return format === 'text' ? printableLines(await text()) : (await toYaml(data)).trimEnd()
}

export function toJson(data: unknown): string {
  return escapeUnprintable(JSON.stringify(data, null, jsonIndent))
}

export async function toYaml(data: unknown): Promise<string> {
  const {stringify} = await import('yaml')
  // Only between double quotes YAML has escapes; JSON puts every text there.
  const json = JSON.stringify(data)
  const plain = escapeUnprintable(json) === json
  const options = plain ? {} : ({defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN'} as const)
  return escapeUnprintable(stringify(data, {lineWidth: 0, ...options}))
}

/** What could move the cursor of a terminal, or hide, becomes an escape that JSON and YAML read back. */
function escapeUnprintable(text: string): string {
  return text.replace(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (characters) =>
    [...Array(characters.length).keys()]
      .map((index) => `\\u${characters.charCodeAt(index).toString(16).padStart(4, '0')}`)
      .join(''),
  )
}
