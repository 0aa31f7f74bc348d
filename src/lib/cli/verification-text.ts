import type {VerificationLine} from '../api/verification.js'
import type {RecordingVerdict} from '../audit/verification.js'
import {printable} from '../core/printable.js'

type Problem = Extract<VerificationLine, {type: 'problem'}>
type Summary = Extract<VerificationLine, {type: 'summary'}>

/** One problem on one line. */
export function renderProblem({subject, id, line, ei, problem}: Problem): string {
  const place = [...(line === undefined ? [] : [`line ${line}`]), ...(ei === undefined ? [] : [`event ${ei}`])]
  const where = place.length > 0 ? ` (${place.join(', ')})` : ''
  return printable(`${subject} ${id}${where}: ${problem}`)
}

/** What was looked at. */
export function renderSummary({
  sessions,
  records,
  agents,
  open,
  events,
  head,
  pruned = 0,
  removed,
  older_than,
}: Summary): string {
  const opened = open > 0 ? ` ${count(open, 'session')} of them without an end so far.` : ''
  const log =
    events === undefined ? '' : `\nThe audit log has ${count(events, 'event')}; its head is ${head ?? 'not made'}.`
  const recordings = pruned > 0 ? ` Of ${count(pruned, 'session')} the recording was removed as too old.` : ''
  const gone =
    removed === undefined ? '' : `\n${count(removed, 'event')} from before ${older_than ?? ''} were removed as too old.`
  return `Checked ${count(sessions, 'session')} with ${count(records, 'record')} of ${count(agents, 'agent')}.${opened}${recordings}${log}${gone}`
}

/** The problem of a recording in a file. */
export function problemsOf({head, broken}: RecordingVerdict): Problem[] {
  return broken ? [{type: 'problem', subject: 'session', id: head.sid, ...broken}] : []
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
