import type {ConnectTimes} from '../localproxy/connection.js'

/** Takes the times of a command's first session. Times are those of `performance.now()`, which begins with the process. */
export class Stopwatch {
  readonly #startedUp: number
  readonly #certified = performance.now()
  #isRead = false

  /** Made when there is a certificate. */
  constructor(startedUp: number) {
    this.#startedUp = startedUp
  }

  /** Undefined after the first time. */
  read({startedAt, path, tcpMilliseconds, agentMilliseconds, signInMilliseconds}: ConnectTimes): Timings | undefined {
    if (this.#isRead) return undefined
    this.#isRead = true
    return {
      startUpMilliseconds: this.#startedUp,
      certificateMilliseconds: this.#certified - this.#startedUp,
      psqlMilliseconds: startedAt - this.#certified,
      path,
      tcpMilliseconds,
      agentMilliseconds,
      signInMilliseconds,
      readyMilliseconds: performance.now(),
    }
  }
}

/** Milliseconds of a command's way to its first answer from the database. */
export interface Timings extends Pick<
  ConnectTimes,
  'path' | 'tcpMilliseconds' | 'agentMilliseconds' | 'signInMilliseconds'
> {
  /** From the start of the process. */
  readonly startUpMilliseconds: number
  /** Until there was a certificate, stored or fetched. */
  readonly certificateMilliseconds: number
  /** From there to psql's startup message; the agent is dialled at the same time. */
  readonly psqlMilliseconds: number
  /** From the start of the process to the first answer. */
  readonly readyMilliseconds: number
}

/** A row for each hop. */
export function timingsText(timings: Timings): string {
  const isDirect = timings.path === 'direct'
  const rows: [string, number, string?][] = [
    ['start-up', timings.startUpMilliseconds],
    ['certificate', timings.certificateMilliseconds],
    ['psql', timings.psqlMilliseconds, 'until it asked to connect; at the same time:'],
    [isDirect ? '  direct' : '  proxy', timings.tcpMilliseconds, isDirect ? 'TCP, to the agent itself' : 'TCP'],
    ['  agent', timings.agentMilliseconds, 'TLS and its greeting'],
    ['sign-in', timings.signInMilliseconds, 'the decision, and the database'],
    ['ready', timings.readyMilliseconds, 'all of it'],
  ]
  return rows
    .map(([name, milliseconds, what = '']) =>
      `${name.padEnd(12)}${milliseconds.toFixed(1).padStart(8)} ms  ${what}`.trimEnd(),
    )
    .join('\n')
}
