import type {CompiledQuery, Kysely, Transaction} from 'kysely'
import type {EventSeal, Page, StoredEvent} from './backend.js'
import type {Tables} from './tables.js'

type Database = Kysely<Tables> | Transaction<Tables>

let insertion: CompiledQuery | undefined

export async function storeEventSeal(db: Database, seal: EventSeal): Promise<void> {
  insertion ??= db.insertInto('event_seals').values(seal).compile()
  // The values stand in the order in which they were compiled.
  const {number, position, events, link, checksums, signature} = seal
  await db.executeQuery({...insertion, parameters: [number, position, events, link, checksums, signature]})
}

export function newestEventSeal(db: Database): Promise<EventSeal | undefined> {
  return db.selectFrom('event_seals').selectAll().orderBy('number', 'desc').limit(1).executeTakeFirst()
}

export async function listEventSeals(db: Database, {after, limit}: Page): Promise<EventSeal[]> {
  return db.selectFrom('event_seals').selectAll().where('number', '>', after).orderBy('number').limit(limit).execute()
}

export async function storedEvents(db: Database, {after, limit}: Page): Promise<StoredEvent[]> {
  const rows = await db
    .selectFrom('events')
    .selectAll()
    .where('position', '>', after)
    .orderBy('position')
    .limit(limit)
    .execute()
  return rows.map(({position, user, sid, ei, ...row}) => ({
    position,
    record: {...row, user: user ?? undefined, sid: sid ?? undefined, ei: ei ?? undefined},
  }))
}

export async function sealedFrom(db: Database): Promise<number> {
  const counter = db.selectFrom('counters').select('value').where('name', '=', 'sealed_from')
  return (await counter.executeTakeFirstOrThrow()).value
}

/** Removes events and seals up to these, both included. */
export async function removeEvents(
  db: Database,
  {number, position}: Pick<EventSeal, 'number' | 'position'>,
): Promise<void> {
  await db.deleteFrom('events').where('position', '<=', position).execute()
  await db.deleteFrom('event_seals').where('number', '<=', number).execute()
}
