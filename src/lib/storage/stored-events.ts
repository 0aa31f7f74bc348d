import {
  sql,
  type CompiledQuery,
  type ExpressionBuilder,
  type ExpressionWrapper,
  type Kysely,
  type RawBuilder,
  type SqlBool,
  type Transaction,
} from 'kysely'
import type {AppendOutcome, EventPage, EventQuery, EventRecord} from './backend.js'
import {endOf} from './key-range.js'
import type {Tables} from './tables.js'

type Database = Kysely<Tables> | Transaction<Tables>

/** Statements for so many events, compiled once: of events there are thousands a second. */
const insertStatements = new Map<number, CompiledQuery>()

/** Stores what is new with one statement; only when not all of it is does it look at what is there. */
export async function appendEvents(
  db: Database,
  records: readonly EventRecord[],
  first: number,
): Promise<AppendOutcome[]> {
  if (records.length === 0) return []
  const rows = records.map(({time, event, user = null, sid = null, ei = null, hash, body}, index) => {
    return {position: first + index, time, event, user, sid, ei, hash, body}
  })
  // The values stand in the order of the rows.
  const parameters = rows.flatMap((row) => Object.values(row))
  const {numAffectedRows} = await db.executeQuery({...insertStatement(db, rows), parameters})
  if (numAffectedRows === BigInt(rows.length)) return rows.map(() => 'stored')
  const outcomes: AppendOutcome[] = []
  for (const row of rows) outcomes.push(await compareStored(db, row))
  return outcomes
}

function insertStatement(db: Database, rows: readonly Tables['events'][]): CompiledQuery {
  const ready = insertStatements.get(rows.length)
  if (ready) return ready
  const statement = db
    .insertInto('events')
    .values(rows)
    .onConflict((conflict) => conflict.columns(['sid', 'ei']).doNothing())
    .compile()
  insertStatements.set(rows.length, statement)
  return statement
}

async function compareStored(db: Database, {position, sid, ei, hash}: Tables['events']): Promise<AppendOutcome> {
  const known = db.selectFrom('events').select(['position', 'hash'])
  const there =
    sid === null ? known.where('position', '=', position) : known.where('sid', '=', sid).where('ei', '=', ei)
  const row = await there.executeTakeFirstOrThrow()
  if (row.position === position) return 'stored'
  return row.hash === hash ? 'duplicate' : 'conflict'
}

export async function listEvents(
  db: Database,
  {events, having, user, sid, from, to, limit, after, before}: EventQuery,
): Promise<EventPage> {
  let query = db.selectFrom('events').select(['position', 'body'])
  if (events !== undefined) query = query.where((eb) => eb.or(events.map((event) => ofType(eb, event))))
  for (const [key, value] of Object.entries(having ?? {})) query = query.where(hasValue(key, value))
  if (user !== undefined) query = query.where('user', '=', user)
  if (sid !== undefined) query = query.where('sid', '=', sid)
  if (from !== undefined) query = query.where('time', '>=', from)
  if (to !== undefined) query = query.where('time', '<=', to)
  if (before !== undefined) query = query.where('position', '<', before)
  if (after === undefined) {
    const newest = (await query.orderBy('position', 'desc').limit(limit).execute()).reverse()
    return {bodies: newest.map((row) => row.body), positions: newest.map((row) => row.position)}
  }
  const rows = await query
    .where('position', '>', after)
    .orderBy('position')
    .limit(limit + 1)
    .execute()
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  const positions = page.map((row) => row.position)
  return {
    bodies: page.map((row) => row.body),
    positions,
    ...(rows.length > limit && last ? {next: last.position} : {}),
  }
}

type EventsBuilder = ExpressionBuilder<Tables, 'events'>

function ofType(eb: EventsBuilder, event: string): ExpressionWrapper<Tables, 'events', SqlBool> {
  if (!event.endsWith('*')) return eb('event', '=', event)
  const beginning = event.slice(0, -1)
  const end = endOf(beginning)
  return end === undefined ? eb('event', '>=', '') : eb.and([eb('event', '>=', beginning), eb('event', '<', end)])
}

/** Bodies are JSON as we write it, without spaces. */
function hasValue(key: string, value: string | boolean): RawBuilder<SqlBool> {
  const text = `${JSON.stringify(key)}:${JSON.stringify(value)}`.replace(/[\\%_]/g, String.raw`\$&`)
  return sql<SqlBool>`body like ${`%${text}%`} escape ${'\\'}`
}
