import type {AuditEvent} from '../audit/event.js'
import {printable} from '../core/printable.js'

const lineEnd = '\r\n'

interface Portal {
  /** The SQL of an unnamed statement; else its name. */
  readonly text: string
  readonly parameters: string
}

/** A session as its user saw it at psql's prompt (client contract, 7.3). */
export class Playback {
  /** SQL of the unnamed statement, the only one whose text is shown. */
  #unnamed: string | undefined
  readonly #portals = new Map<string, Portal>()
  /** `ei` of the statements that were shown and may have results to come. */
  readonly #shown = new Set<number>()

  /** What an event shows, with the ends of its lines; empty for nothing. */
  show(event: AuditEvent): string {
    switch (event.event) {
      case 'db.session.start':
        return line(`Session started to database "${textOf(event.db_service)}" at ${formatTime(event.time)}`)
      case 'db.session.query':
        return this.#statement(event, textOf(event.db_query))
      case 'db.session.postgres.statements.parse':
        if (textOf(event.statement_name) === '') this.#unnamed = textOf(event.query)
        return ''
      case 'db.session.postgres.statements.bind':
        this.#bind(event)
        return ''
      case 'db.session.postgres.statements.execute': {
        const portal = this.#portals.get(textOf(event.portal_name))
        return portal ? this.#statement(event, portal.text, portal.parameters) : ''
      }
      case 'db.session.postgres.statements.close':
        if ('portal_name' in event) this.#portals.delete(textOf(event.portal_name))
        else if (textOf(event.statement_name) === '') this.#unnamed = undefined
        return ''
      case 'db.session.result':
        return this.#result(event)
      case 'db.session.end':
        return lineEnd + line(`Session ended at ${formatTime(event.time)}`)
      default:
        return ''
    }
  }

  #bind(event: AuditEvent): void {
    const statement = textOf(event.statement_name)
    const portal = textOf(event.portal_name)
    const text = statement === '' ? this.#unnamed : `EXECUTE ${statement}`
    if (text === undefined) this.#portals.delete(portal)
    else this.#portals.set(portal, {text, parameters: formatParameters(event)})
  }

  #statement({ei, db_name}: AuditEvent, sql: string, parameters = ''): string {
    this.#shown.add(Number(ei))
    const prompt = `${safe(textOf(db_name))}=> `
    const [first = '', ...others] = `${sql.trim()}${parameters}`.split(/\r\n|\r|\n/).map((each) => safe(each.trim()))
    const indent = ' '.repeat(prompt.length)
    return lineEnd + [prompt + first, ...others.map((other) => indent + other)].map((each) => each + lineEnd).join('')
  }

  #result({query_ei: query, success, error, affected_records}: AuditEvent): string {
    if (typeof query !== 'number') return ''
    // Results come in the order of their statements: what was asked before has got all of its own.
    for (const earlier of this.#shown) {
      if (earlier >= query) break
      this.#shown.delete(earlier)
    }
    if (!this.#shown.has(query)) return ''
    if (success !== true) return line(textOf(error))
    const rows = Number(affected_records)
    return line('SUCCESS') + line(`(${rows} ${rows === 1 ? 'row' : 'rows'} affected)`)
  }
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
function formatParameters({parameters, parameters_truncated}: AuditEvent): string {
  if (!Array.isArray(parameters) || parameters.length === 0) return ''
  const values = parameters.map(
    (value, index) => `$${index + 1} = ${typeof value === 'string' ? quote(value) : 'NULL'}`,
  )
  return ` (${values.join(', ')}${parameters_truncated === true ? ', ...' : ''})`
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
