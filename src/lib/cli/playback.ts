import type {AuditEvent} from '../audit/event.js'
import {printable} from '../core/printable.js'

const lineEnd = '\r\n'

/** What is said of a statement that came to no result. */
const noResults: Readonly<Record<string, string>> = {
  skipped: '(skipped by the server after an error)',
  unanswered: '(no answer before the end of the session)',
}

/** A session as its user saw it at psql's prompt (client contract, 7.3). */
export class Playback {
  /** What an event shows, with the ends of its lines; empty for nothing. */
  show(event: AuditEvent): string {
    switch (event.event) {
      case 'db.session.start':
        return line(`Session started to database "${textOf(event.db_service)}" at ${formatTime(event.time)}`)
      case 'db.session.query':
        // What was only bound did nothing.
        return event.execution === 'none' ? '' : showStatement(event) + showResults(event)
      case 'db.session.end':
        return lineEnd + line(`Session ended at ${formatTime(event.time)}`)
      default:
        return ''
    }
  }
}

/** The SQL; of a prepared statement that has a name, the name. */
function showStatement(event: AuditEvent): string {
  const name = textOf(event.statement_name)
  const text = name === '' ? textOf(event.db_query).trim() : `EXECUTE ${name}`
  const prompt = `${safe(textOf(event.db_name))}=> `
  const [first = '', ...others] = `${text}${formatParameters(event)}`
    .split(/\r\n|\r|\n/)
    .map((each) => safe(each.trim()))
  const indent = ' '.repeat(prompt.length)
  return lineEnd + [prompt + first, ...others.map((other) => indent + other)].map((each) => each + lineEnd).join('')
}

function showResults(event: AuditEvent): string {
  const {results, command, error, execution} = event
  const all: unknown[] = Array.isArray(results) ? results : command === undefined ? [] : [event]
  const lines = all.map((result) => showRows(Number((result as AuditEvent | null)?.affected_records)))
  if (error !== undefined) lines.push(line(textOf(error)))
  else if (execution === 'partial') lines.push(showRows(Number(event.affected_records)))
  const said = noResults[textOf(execution)]
  return lines.join('') + (said === undefined ? '' : line(said))
}

function showRows(rows: number): string {
  return line('SUCCESS') + line(`(${rows} ${rows === 1 ? 'row' : 'rows'} affected)`)
}

/** One line, whatever is in the text. */
function line(text: string): string {
  return printable(text) + lineEnd
}

/** Tabs move nothing that matters, and SQL is full of them. */
function safe(text: string): string {
  return text.split('\t').map(printable).join('\t')
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `Mon Jul 20 20:00 UTC`, `Thu Jul  2 09:05 UTC` */
function formatTime(time: unknown): string {
  const date = new Date(textOf(time))
  if (Number.isNaN(date.getTime())) return 'an unknown time'
  const two = (number: number, filler: string): string => String(number).padStart(2, filler)
  const day = `${days[date.getUTCDay()] ?? ''} ${months[date.getUTCMonth()] ?? ''} ${two(date.getUTCDate(), ' ')}`
  return `${day} ${two(date.getUTCHours(), '0')}:${two(date.getUTCMinutes(), '0')} UTC`
}

/** ` ($1 = "a", $2 = NULL)`; empty when there are none. */
function formatParameters({db_query_parameters, db_query_parameters_truncated: truncated}: AuditEvent): string {
  if (!Array.isArray(db_query_parameters) || db_query_parameters.length === 0) return ''
  const values = db_query_parameters.map(
    (value, index) => `$${index + 1} = ${typeof value === 'string' ? quote(value) : 'NULL'}`,
  )
  return ` (${values.join(', ')}${truncated === true ? ', ...' : ''})`
}

const shortEscapes: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\u0007', '\\a'],
  ['\b', '\\b'],
  ['\f', '\\f'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\v', '\\v'],
])

/** A text between double quotes, with Go's escapes. */
function quote(text: string): string {
  const escaped = text.replace(/["\\]|(?! )[\p{C}\p{Z}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0
    const hex = code.toString(16)
    // A byte that is no UTF-8 comes as a lone surrogate (pgwire/payload.ts).
    if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`
    if (code > 0xffff) return `\\U${hex.padStart(8, '0')}`
    return shortEscapes.get(character) ?? (code < 0x80 ? `\\x${hex.padStart(2, '0')}` : `\\u${hex.padStart(4, '0')}`)
  })
  return `"${escaped}"`
}
