import {readdir, readFile, rm} from 'node:fs/promises'
import {basename, join} from 'node:path'
import type {Logger} from '../core/log.js'
import type {UnfinishedSessions} from './open-sessions.js'
import {Segment} from './segment.js'

const segmentName = /^(\d{15})-\d+-\d{6}\.ndjson$/

/** The name of this process' n-th segment: names sort by the time at which segments began, milliseconds since 1970. */
export function nameOf(began: number, number: number): string {
  return `${String(began).padStart(15, '0')}-${process.pid}-${String(number).padStart(6, '0')}.ndjson`
}

/** When a segment began, as its name says it. */
export function beginningOf({path}: Segment): number {
  return Number(segmentName.exec(basename(path))?.[1] ?? 0)
}

/** Segments that earlier processes left in a spool's directory, in their order, each also shown to `unfinished`. */
export async function readLeftovers(
  directory: string,
  unfinished: UnfinishedSessions,
  logger: Logger,
): Promise<Segment[]> {
  const names = (await readdir(directory)).filter((name) => segmentName.test(name)).sort()
  const segments: Segment[] = []
  for (const name of names) {
    const path = join(directory, name)
    const bytes = await readFile(path)
    const size = bytes.lastIndexOf('\n') + 1
    if (size < bytes.length) logger.warn('The audit spool ends in a torn line, which was left out.', {segment: name})
    for (const line of bytes.toString('utf8', 0, size).split('\n')) unfinished.read(line)
    if (size > 0) segments.push(Segment.leftover(path, size))
    else await rm(path)
  }
  return segments
}
