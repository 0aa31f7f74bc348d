import {setFlagsFromString} from 'node:v8'

/**
 * What V8 may do with the memory of a process that carries bytes. Either way what is needed is there; it is about how much
 * garbage may gather before it is collected.
 *
 * - `small`, for sessions that come, go and wait: what opening 400 of them left behind took as much as the sessions. The space
 *   for new objects, and with it what it holds on to, stays as large as it was at the start.
 * - `bulk`: Node allocates each read anew, outside of the heap, and V8 adds that to the heap: beside a small one 30 MB of it set
 *   off a full collection, and bulk transfers spent a third of their processor time on collecting nothing.
 */
const growth = {
  small: ['--semi-space-growth-factor=1', '--heap-growing-percent=0'],
  bulk: ['--semi-space-growth-factor=2', '--heap-growing-percent=300'],
} as const

/** After the last bulk transfer. */
const calmMilliseconds = 60_000

let calm: NodeJS.Timeout | undefined

/** For services, from their start. */
export function keepHeapSmall(): void {
  setFlags(growth.small)
}

/** Bulk is under way; call it again while it is. */
export function letHeapGrow(): void {
  if (calm) {
    calm.refresh()
    return
  }
  setFlags(growth.bulk)
  calm = setTimeout(() => {
    calm = undefined
    setFlags(growth.small)
  }, calmMilliseconds).unref()
}

function setFlags(flags: readonly string[]): void {
  for (const flag of flags) setFlagsFromString(flag)
}
