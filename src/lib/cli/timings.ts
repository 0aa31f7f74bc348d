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
  read({startedAt, tcpMilliseconds, agentMilliseconds, signInMilliseconds}: ConnectTimes): Timings | undefined {
    if (this.#isRead) return undefined
    this.#isRead = true
    return {
      startUpMilliseconds: this.#startedUp,
      certificateMilliseconds: this.#certified - this.#startedUp,
      psqlMilliseconds: startedAt - this.#certified,
      tcpMilliseconds,
      agentMilliseconds,
      signInMilliseconds,
      readyMilliseconds: performance.now(),
    }
  }
}

/** Milliseconds of a command's way to its first answer from the database. */
export interface Timings extends Pick<ConnectTimes, 'tcpMilliseconds' | 'agentMilliseconds' | 'signInMilliseconds'> {
  /** From the start of the process. */
  readonly startUpMilliseconds: number
  /** Until there was a certificate, stored or fetched. */
  readonly certificateMilliseconds: number
  /** From there to psql's startup message; the agent is dialled at the same time. */
  readonly psqlMilliseconds: number
  /** From the start of the process to the first answer. */
  readonly readyMilliseconds: number
}

const hops: readonly (readonly [keyof Timings, string, string?])[] = [
  ['startUpMilliseconds', 'start-up'],
  ['certificateMilliseconds', 'certificate'],
  ['psqlMilliseconds', 'psql', 'until it asked to connect; at the same time:'],
  ['tcpMilliseconds', '  proxy', 'TCP'],
  ['agentMilliseconds', '  agent', 'TLS and its greeting, through the proxy'],
  ['signInMilliseconds', 'sign-in', 'the decision, and the database'],
  ['readyMilliseconds', 'ready', 'all of it'],
]

/** A row for each hop. */
export function timingsText(timings: Timings): string {
  const rows = hops.map(([key, name, what]) => {
    const milliseconds = timings[key].toFixed(1).padStart(8)
    return `${name.padEnd(12)}${milliseconds} ms${what === undefined ? '' : `  ${what}`}`
  })
  return rows.join('\n')
}
