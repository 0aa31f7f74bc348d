import type {SpliceCounts} from '../tunnel/splice.js'

/**
 * What the proxy and its splice workers say to each other about one session, by its number:
 *
 *   proxy                                  worker
 *     │ {client} + socket ──────────────────►│ keeps it, silent: it waits for an answer to its ClientHello
 *     │ {connection} + socket ──────────────►│ an agent's data connection
 *     │ {offer, attempt, …} ────────────────►│ sends the ClientHello on it, waits for a byte
 *     │ ◄───────── {offered, attempt, answered}  splices when there was one, or waits for another connection
 *     │ ◄──────────────────────────── {ended, counts}
 *     │ {close} ────────────────────────────►│ closes both
 */
export type SpliceOrder =
  | {readonly client: number}
  | {readonly connection: number}
  | {readonly offer: number; readonly attempt: number; readonly hello: string; readonly milliseconds: number}
  | {readonly close: number}

export type SpliceReport =
  | {readonly offered: number; readonly attempt: number; readonly answered: boolean}
  | {readonly ended: number; readonly counts: SpliceCounts}
