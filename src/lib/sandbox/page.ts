import {Fault} from './fault.js'

export interface Page<T> {
  readonly items: readonly T[]
  /** Where the next one begins. */
  readonly marker: string | undefined
}

/** One page of a list; the marker is the number of items before it. @throws Fault InvalidParameterValue */
export function paginate<T>(items: readonly T[], marker: string | undefined, size: number): Page<T> {
  const start = marker === undefined ? 0 : Number(marker)
  if (!Number.isInteger(start) || start < 0) throw new Fault('InvalidParameterValue', 400, 'Invalid marker')
  const end = start + size
  return {items: items.slice(start, end), marker: end < items.length ? String(end) : undefined}
}
