import {createHash} from 'node:crypto'

/** Below Linux's ephemeral range (32768 up), so that no outgoing connection takes the port by chance. */
const first = 20_000
const count = 10_000

export interface PortOwner {
  /** The local user; undefined where the system has no such number. */
  readonly uid: number | undefined
  readonly cluster: string
  readonly database: string
}

/** The port that this person's tunnel to this database has by default: the same each time, so that GUI clients keep their settings. */
export function stablePort({uid, cluster, database}: PortOwner): number {
  const digest = createHash('sha256')
    .update(JSON.stringify([uid ?? '', cluster, database.toLowerCase()]))
    .digest()
  return first + (digest.readUInt32BE(0) % count)
}
