import {setFlagsFromString} from 'node:v8'

/** Per cent of what a full collection left over. */
const growth = 300

/**
 * For processes that carry bytes. Node allocates each read anew, outside of the heap, and V8 adds that to the heap: beside
 * the small one that a service has after its start, 30 MB of it set off a full collection. A short one, which such reads
 * need, comes only a little later, so bulk transfers spent a third of their processor time on collecting nothing.
 */
export function letHeapGrow(): void {
  setFlagsFromString(`--heap-growing-percent=${growth}`)
}
