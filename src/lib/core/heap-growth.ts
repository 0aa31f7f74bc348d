import {setFlagsFromString} from 'node:v8'

/**
 * What V8 may do with the memory of a process. Either way what is needed is there; it is about how much garbage may gather
 * before it is collected.
 *
 * - `small`, for sessions that wait: what opening 400 of them left behind took as much as the sessions. The space for new
 *   objects, and with it what it holds on to, stays as large as it was at the start.
 * - `busy`: round trips cost a sixth less when that space may grow. Node allocates each read anew, outside of the heap, and V8
 *   adds that to the heap: beside a small one 30 MB of it set off a full collection, and bulk transfers spent a third of their
 *   processor time on collecting nothing.
 */
const growth = {
  small: ['--semi-space-growth-factor=1', '--heap-growing-percent=0'],
  busy: ['--semi-space-growth-factor=2', '--heap-growing-percent=300'],
} as const

/** After the process was busy. */
const calmMilliseconds = 60_000

let keptSmall = false
let busy = false
let calm: NodeJS.Timeout | undefined

/** For processes whose sessions may wait for hours: from now on the heap grows only while they are busy. */
export function keepHeapSmall(): void {
  keptSmall = true
  setFlags(growth.small)
}

/** The process is busy; call it again while it is. */
export function letHeapGrow(): void {
  if (busy) {
    calm?.refresh()
    return
  }
  busy = true
  setFlags(growth.busy)
  if (!keptSmall) return
  calm = setTimeout(() => {
    busy = false
    setFlags(growth.small)
  }, calmMilliseconds).unref()
}

function setFlags(flags: readonly string[]): void {
  for (const flag of flags) setFlagsFromString(flag)
}
