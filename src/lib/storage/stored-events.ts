import {setImmediate as othersTurn} from 'node:timers/promises'
import {sql, type CompiledQuery, type Kysely, type RawBuilder, type SqlBool, type Transaction} from 'kysely'
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

/**
 * Looks at the log window by window, so that nobody waits for a filter that fits little: the database answers in this thread.
 * The events of one session are found by an index, and not so many.
 */
export async function listEvents(db: Database, query: EventQuery): Promise<EventPage> {
  const {after, before, limit, sid} = query
  const isForward = after !== undefined
  // One more tells whether there are more.
  const wanted = isForward ? limit + 1 : limit
  const found: Row[] = []
  const names = query.events && (await namesOf(db, query.events))
  const reach = sid === undefined && names?.length !== 0 ? windowRows : undefined
  for (let from = after ?? before; ;) {
    const end = isForward ? await endBehind(db, from, reach) : await endBefore(db, from, reach)
    const [above, below] = isForward ? [from, end.position + 1] : [end.position - 1, from]
    found.push(
      ...(await match(db, {...query, events: names}, {above, below, wanted: wanted - found.length, isForward})),
    )
    if (found.length >= wanted || end.isLast)
      return isForward ? pageBehind(found, limit, end.position) : pageOf(found.reverse())
    from = end.position
    await othersTurn()
  }
}

/** Rows that one statement looks at. */
const windowRows = 10_000

type Row = Pick<Tables['events'], 'position' | 'body'>

interface WindowEnd {
  /** Included. */
  readonly position: number
  /** Whether there is nothing further. */
  readonly isLast: boolean
}

/** Where a window ends that begins behind a position; without a reach it goes to the newest event. */
async function endBehind(db: Database, from = 0, reach: number | undefined): Promise<WindowEnd> {
  const rows = db.selectFrom('events').select('position').where('position', '>', from)
  const end = reach === undefined ? undefined : await rows.orderBy('position').offset(reach).limit(1).executeTakeFirst()
  if (end) return {...end, isLast: false}
  const newest = await rows.orderBy('position', 'desc').limit(1).executeTakeFirst()
  return {position: newest?.position ?? from, isLast: true}
}

/** Where a window ends that begins before a position, or with the newest event. */
async function endBefore(db: Database, from: number | undefined, reach: number | undefined): Promise<WindowEnd> {
  if (reach === undefined) return {position: 0, isLast: true}
  const all = db.selectFrom('events').select('position')
  const rows = from === undefined ? all : all.where('position', '<', from)
  const end = await rows.orderBy('position', 'desc').offset(reach).limit(1).executeTakeFirst()
  return end ? {...end, isLast: false} : {position: 0, isLast: true}
}

interface Window {
  /** Positions between these two, or all. */
  readonly above: number | undefined
  readonly below: number | undefined
  readonly wanted: number
  readonly isForward: boolean
}

async function match(
  db: Database,
  {events, having, user, sid, from, to}: EventQuery,
  {above, below, wanted, isForward}: Window,
): Promise<Row[]> {
  if (events?.length === 0) return []
  let query = db.selectFrom('events').select(['position', 'body'])
  if (above !== undefined) query = query.where('position', '>', above)
  if (below !== undefined) query = query.where('position', '<', below)
  if (events !== undefined) query = query.where('event', 'in', events)
  for (const [key, value] of Object.entries(having ?? {})) query = query.where(hasValue(key, value))
  if (user !== undefined) query = query.where('user', '=', user)
  if (sid !== undefined) query = query.where('sid', '=', sid)
  if (from !== undefined) query = query.where(time, '>=', from)
  if (to !== undefined) query = query.where(time, '<=', to)
  return query
    .orderBy('position', isForward ? 'asc' : 'desc')
    .limit(wanted)
    .execute()
}

/** The sign keeps the database from the index of times, which would lead it through the whole log. */
const time = sql<number>`+time`

/** @param seen nothing behind the events of the page and up to there matches */
function pageBehind(found: readonly Row[], limit: number, seen: number): EventPage {
  const rows = found.slice(0, limit)
  const last = rows.at(-1)
  return found.length > limit && last
    ? {...pageOf(rows), next: last.position, seen: last.position}
    : {...pageOf(rows), seen}
}

function pageOf(rows: readonly Row[]): EventPage {
  return {bodies: rows.map((row) => row.body), positions: rows.map((row) => row.position)}
}

/** The types of events that there are among those asked for: of each the database knows where in the log they are. */
async function namesOf(db: Database, events: readonly string[]): Promise<string[]> {
  const names = new Set<string>()
  for (const event of events) {
    if (!event.endsWith('*')) names.add(event)
    else for (const name of await namesBeginning(db, event.slice(0, -1))) names.add(name)
  }
  return [...names]
}

/** From one name to the next, and not through all events. */
async function namesBeginning(db: Database, beginning: string): Promise<string[]> {
  const names: string[] = []
  const end = endOf(beginning)
  let rows = db.selectFrom('events').select('event').where('event', '>=', beginning).orderBy('event').limit(1)
  if (end !== undefined) rows = rows.where('event', '<', end)
  for (let row = await rows.executeTakeFirst(); row;) {
    names.push(row.event)
    row = await rows.where('event', '>', row.event).executeTakeFirst()
  }
  return names
}

/** Bodies are JSON as we write it, without spaces. */
function hasValue(key: string, value: string | boolean): RawBuilder<SqlBool> {
  const text = `${JSON.stringify(key)}:${JSON.stringify(value)}`.replace(/[\\%_]/g, String.raw`\$&`)
  return sql<SqlBool>`body like ${`%${text}%`} escape ${'\\'}`
}
