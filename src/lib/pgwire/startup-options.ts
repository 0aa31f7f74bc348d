/**
 * The settings that a startup message asks the server to apply. They arrive in two ways: as parameters of their own, and
 * inside `options`, which the server reads like a command line (PostgreSQL's pg_split_opts and process_postgres_switches).
 * The relay looks here for `role`, `session_authorization` and the like, so what the server would read, we must read.
 */
import {isAscii} from 'node:buffer'

export interface Setting {
  /** In the server's own form: lower case, as setting names ignore the case of ASCII letters. */
  readonly name: string
  readonly value: string
}

export type StartupSettings =
  | {readonly ok: true; readonly settings: readonly Setting[]}
  | {readonly ok: false; readonly reason: string; readonly sqlState: '42601'}

/** Parameters that are no settings (PostgreSQL's ProcessStartupPacket). */
const connectionParameters: ReadonlySet<string> = new Set(['user', 'database', 'options', 'replication'])

/** All settings of a startup message in the order the server applies them: those in `options` first. */
export function readStartupSettings(parameters: ReadonlyMap<string, string>): StartupSettings {
  const fromOptions = parseOptions(parameters.get('options') ?? '')
  if (!fromOptions.ok) return fromOptions
  const own = [...parameters].filter(([name]) => !connectionParameters.has(name))
  return {ok: true, settings: [...fromOptions.settings, ...own.map(([name, value]) => ({name: fold(name), value}))]}
}

/**
 * Settings in the text of `options`. Only `-c name=value`, `-cname=value` and `--name=value` are read; every other switch is
 * refused rather than guessed at. Takes time in proportion to the text.
 */
export function parseOptions(options: string): StartupSettings {
  // In a server with a single-byte locale some bytes of UTF-8 text are white space, so it would split elsewhere than we.
  if (!isAscii(Buffer.from(options))) return refuse('The startup options hold characters other than ASCII.')
  const words = splitOptions(options)
  const settings: Setting[] = []
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? ''
    let assignment: string | undefined
    if (word === '-c') assignment = words[(index += 1)]
    else if (word.startsWith('-c') || word.startsWith('--')) assignment = word.slice(2)
    const setting = assignment === undefined ? undefined : parseAssignment(assignment)
    if (!setting) return refuse('The startup options hold something other than "-c name=value" and "--name=value".')
    settings.push(setting)
  }
  return {ok: true, settings}
}

function refuse(reason: string): StartupSettings {
  return {ok: false, reason, sqlState: '42601'}
}

function parseAssignment(assignment: string): Setting | undefined {
  const equals = assignment.indexOf('=')
  if (equals < 1) return undefined
  // PostgreSQL's ParseLongOption: on a command line a dash in a name stands for an underscore.
  return {name: fold(assignment.slice(0, equals).replaceAll('-', '_')), value: assignment.slice(equals + 1)}
}

/** ASCII only: `toLowerCase` would also fold letters that the server tells apart. */
function fold(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

/** Splits at unescaped white space; a backslash takes the next character as it is, at the end it vanishes. */
function splitOptions(options: string): string[] {
  const words: string[] = []
  let word = ''
  let inWord = false
  let escaped = false
  for (const character of options) {
    if (escaped) {
      word += character
      escaped = false
    } else if (isSpace(character)) {
      if (inWord) words.push(word)
      word = ''
      inWord = false
      continue
    } else if (character === '\\') escaped = true
    else word += character
    inWord = true
  }
  if (inWord) words.push(word)
  return words
}

/** C's isspace. */
function isSpace(character: string): boolean {
  return character === ' ' || (character >= '\t' && character <= '\r')
}
