import {expect, it} from '@jest/globals'
import type {AuditEvent} from '../../../src/lib/audit/event.js'
import {listRecorded, parseDay} from '../../../src/lib/cli/recordings-text.js'

/** A log with these ends of sessions, from the oldest on; their cursors count from 1. */
function logOf(ends: readonly AuditEvent[], prunes: readonly AuditEvent[] = []): Parameters<typeof listRecorded>[0] {
  return {
    events: ({event, before, limit}) => {
      if (event !== 'db.session.end') return Promise.resolve({events: prunes, cursors: prunes.map(() => '99')})
      const end = before === undefined ? ends.length : Number(before) - 1
      const first = Math.max(0, end - Number(limit))
      const events = ends.slice(first, end)
      const cursors = events.map((_, index) => String(first + index + 1))
      return Promise.resolve({events, cursors, ...(events.length === Number(limit) && {older: cursors[0] ?? ''})})
    },
  }
}

const end = (sid: string, more: AuditEvent = {}): AuditEvent => ({sid, received_at: '2026-11-20T10:00:00Z', ...more})
const sids = (ends: readonly AuditEvent[]): unknown[] => ends.map(({sid}) => sid)

it('lists as many as are wanted, though others have no recording, and says how to go on', async () => {
  const off = {session_recording: 'off'}
  const log = logOf([end('a'), end('b'), end('c'), end('x', off), end('d'), end('y', off), end('z', off)])
  const first = await listRecorded(log, {limit: 2})
  expect(sids(first.ends)).toEqual(['c', 'd'])
  const second = await listRecorded(log, {limit: 2, before: first.older})
  expect(sids(second.ends)).toEqual(['a', 'b'])
  expect(await listRecorded(log, {limit: 4})).toMatchObject({ends: [{sid: 'a'}, {sid: 'b'}, {sid: 'c'}, {sid: 'd'}]})
  expect((await listRecorded(log, {limit: 9})).older).toBeUndefined()
})

it('leaves out what was removed as too old, and does not offer it', async () => {
  const old = {received_at: '2026-01-01T00:00:00Z'}
  const log = logOf([end('a', old), end('b', old), end('c')], [{older_than: '2026-06-01T00:00:00Z'}])
  expect(await listRecorded(log, {limit: 2})).toEqual({ends: [end('c')]})
})

it('takes a day for all of it, in UTC, and no day that there is not', () => {
  expect(parseDay('2026-11-20', 'start')).toBe('2026-11-20T00:00:00.000Z')
  expect(parseDay('2026-11-20', 'end')).toBe('2026-11-20T23:59:59.999Z')
  expect(() => parseDay('2026-02-31', 'end')).toThrow('"2026-02-31" is not a day.')
})
