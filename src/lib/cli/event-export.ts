import type {Writable} from 'node:stream'
import {setTimeout as sleep} from 'node:timers/promises'
import type {ApiClient} from '../api/client.js'
import type {ListEventsQuery} from '../api/requests.js'
import {messageOf, PosternError} from '../core/errors.js'

export interface ExportOptions {
  readonly client: Pick<ApiClient, 'events'>
  readonly query: Omit<ListEventsQuery, 'cursor' | 'limit' | 'wait' | 'before'>
  /** Where to begin; from the oldest event on unless told. */
  readonly cursor?: string | undefined
  /** Goes on with what happens from now on. */
  readonly follow: boolean
  /** Hears why the control plane does not answer; it is asked again. */
  readonly onTrouble: (reason: string) => void
}

export interface ExportedPage {
  /** One event on each line, with its cursor; none where nothing fits the question. */
  readonly lines: string
  /** To go on behind them. */
  readonly cursor: string
}

const pageSize = 500
const waitSeconds = 20
const backoff = {firstMilliseconds: 500, mostMilliseconds: 30_000}

/** Events from the oldest to the newest, each at least once. @throws PosternError unless it follows and may try again */
export async function* exportEvents(options: ExportOptions): AsyncGenerator<ExportedPage> {
  const {client, query, follow, onTrouble} = options
  let {cursor = '0'} = options
  for (let failures = 0; ;) {
    try {
      const wait = follow ? {wait: waitSeconds} : {}
      const {events, cursors, cursor: next, seen} = await client.events({...query, cursor, limit: pageSize, ...wait})
      failures = 0
      const last = seen ?? cursors.at(-1) ?? cursor
      if (last !== cursor) {
        cursor = last
        yield {lines: events.map((event, index) => formatEvent(event, cursors[index] ?? '')).join(''), cursor}
      }
      if (!follow && next === undefined) return
    } catch (error) {
      if (!follow || !isPassing(error)) throw error
      if (failures === 0) onTrouble(messageOf(error))
      const full = Math.min(backoff.mostMilliseconds, backoff.firstMilliseconds * 2 ** failures)
      failures += 1
      await sleep(full * (0.5 + Math.random() / 2))
    }
  }
}

/** Writes pages, each when whoever reads has taken the one before. @param keep is told a cursor when all before it is out */
export async function writePages(
  pages: AsyncIterable<ExportedPage>,
  output: Writable,
  keep: (cursor: string) => Promise<void>,
): Promise<void> {
  for await (const {lines, cursor} of pages) {
    await new Promise<void>((resolve, reject) => {
      output.write(lines, (error) => {
        if (error) reject(error)
        else resolve()
      })
    })
    await keep(cursor)
  }
}

function formatEvent(event: Readonly<Record<string, unknown>>, cursor: string): string {
  return `${JSON.stringify({...event, cursor})}\n`
}

/** The control plane is away, or in trouble of its own: that may be over the next time. */
function isPassing(error: unknown): boolean {
  return error instanceof PosternError && ['UNREACHABLE', 'FAILED', 'INTERNAL'].includes(error.code)
}
