import {setImmediate as othersTurn} from 'node:timers/promises'
import type {Kysely, Selectable, Transaction} from 'kysely'
import type {
  Backend,
  LinkMaker,
  SessionLink,
  SessionLinkQuery,
  Splice,
  SpliceQuery,
  StoredSessionLink,
} from './backend.js'
import type {Tables} from './tables.js'

type Database = Kysely<Tables> | Transaction<Tables>

/** Appends links to the chains of their streams. @param first the position of the first one */
export async function appendLinks(
  db: Database,
  {links, first, make}: {readonly links: readonly SessionLink[]; readonly first: number; readonly make: LinkMaker},
): ReturnType<Backend['appendLinks']> {
  const appended = []
  for (const [index, link] of links.entries()) {
    const {host, stream, number, sid, kind, records, head, connection = null} = link
    const known = db.selectFrom('session_links').select('position').where('sid', '=', sid).where('kind', '=', kind)
    if (await known.executeTakeFirst()) continue
    const newest = db
      .selectFrom('session_links')
      .selectAll()
      .where('host', '=', host)
      .where('stream', '=', stream)
      .orderBy('position', 'desc')
      .limit(1)
    const row = await newest.executeTakeFirst()
    const before = row && toLink(row)
    const start = await newest.where('kind', '=', 'start').executeTakeFirst()
    const made = make(link, before)
    await db
      .insertInto('session_links')
      .values({position: first + index, host, stream, number, sid, kind, records, head, connection, ...made})
      .execute()
    appended.push({link, told: start?.number ?? 0})
  }
  return appended
}

export async function listLinks(db: Database, {sid, after, limit}: SessionLinkQuery): Promise<StoredSessionLink[]> {
  let query = db.selectFrom('session_links').selectAll().orderBy('position').limit(limit)
  if (sid !== undefined) query = query.where('sid', '=', sid)
  if (after !== undefined) query = query.where('position', '>', after)
  return (await query.execute()).map(toLink)
}

function toLink({connection, ...row}: Selectable<Tables['session_links']>): StoredSessionLink {
  return {...row, ...(connection === null ? {} : {connection})}
}

/** A proxy may tell of a connection twice: the first time counts. */
export async function appendSplices(db: Database, splices: readonly Splice[]): Promise<void> {
  if (splices.length === 0) return
  const rows = splices.map(({toAgent, toClient, ...splice}) => ({...splice, to_agent: toAgent, to_client: toClient}))
  await db
    .insertInto('splices')
    .values(rows)
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
}

/** Looked at in one statement: the database answers in this thread. */
const splicesAtOnce = 5000

export async function strangeSplices(
  db: Database,
  {before, moreThan, after = '', limit}: SpliceQuery,
): Promise<Splice[]> {
  const found: Splice[] = []
  for (let from = after; ;) {
    const rest = db.selectFrom('splices').where('id', '>', from).orderBy('id')
    const end = (await rest.select('id').offset(splicesAtOnce).limit(1).executeTakeFirst())?.id
    let query = rest
      .selectAll()
      .where('ended', '<', before)
      .where((eb) => eb.or([eb('to_agent', '>', moreThan), eb('to_client', '>', moreThan)]))
      .where((eb) => {
        const named = eb.selectFrom('session_links').select('position').whereRef('connection', '=', 'splices.id')
        return eb.not(eb.exists(named))
      })
      .limit(limit - found.length)
    if (end !== undefined) query = query.where('id', '<=', end)
    found.push(...(await query.execute()).map(toSplice))
    if (found.length >= limit || end === undefined) return found
    from = end
    await othersTurn()
  }
}

export async function findSplice(db: Database, id: string): Promise<Splice | undefined> {
  const row = await db.selectFrom('splices').selectAll().where('id', '=', id).executeTakeFirst()
  return row && toSplice(row)
}

function toSplice({to_agent, to_client, ...row}: Selectable<Tables['splices']>): Splice {
  return {...row, toAgent: to_agent, toClient: to_client}
}
