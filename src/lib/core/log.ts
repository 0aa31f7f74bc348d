import type {Writable} from 'node:stream'
import {printable} from './printable.js'

/** Keys in snake_case, as in events. */
export type LogFields = Readonly<Record<Lowercase<string>, unknown>>

/** What the services log through: a message and fields, never payloads, never secrets. */
export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** The same logger with fields added to each line. */
  with(fields: LogFields): Logger
}

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

export interface LogOptions {
  readonly level: LogLevel
  readonly format: 'text' | 'json'
  readonly output: Writable
}

const noop = (): void => undefined

/** Says nothing; for tests and library use. */
export const silentLogger: Logger = {debug: noop, info: noop, warn: noop, error: noop, with: () => silentLogger}

/** A logger on pino, as JSON lines or as text for people. */
export async function createLogger(options: LogOptions): Promise<Logger> {
  const {pino} = await import('pino')
  const destination =
    options.format === 'json' ? options.output : {write: (line: string) => options.output.write(formatLine(line))}
  const root = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: {level: (label) => ({level: label})},
    },
    destination,
  )
  return wrap(root)
}

interface Sink {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  child(fields: LogFields): Sink
}

function wrap(sink: Sink): Logger {
  return {
    debug: (message, fields = {}) => {
      sink.debug(fields, message)
    },
    info: (message, fields = {}) => {
      sink.info(fields, message)
    },
    warn: (message, fields = {}) => {
      sink.warn(fields, message)
    },
    error: (message, fields = {}) => {
      sink.error(fields, message)
    },
    with: (fields) => wrap(sink.child(fields)),
  }
}

/** One JSON line of pino as text: time, level, message, then fields as key=value. */
function formatLine(line: string): string {
  const {level, time, msg, ...fields} = JSON.parse(line) as Record<string, unknown>
  const rest = Object.entries(fields).map(([key, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    return ` ${key}=${/[\s"=]|^$/.test(text) ? JSON.stringify(text) : text}`
  })
  // Escaped, so that no text from the network can forge a second line or steer a terminal.
  return `${printable(`${String(time)} ${String(level).toUpperCase().padEnd(5)} ${String(msg)}${rest.join('')}`)}\n`
}
