import type {Kysely, Transaction} from 'kysely'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {
  AppendOutcome,
  Backend,
  Change,
  EventPage,
  EventQuery,
  EventRecord,
  Events,
  EventSeal,
  EventSealer,
  Item,
  LinkMaker,
  Notice,
  Page,
  RangeOptions,
  SessionLink,
  SessionLinkQuery,
  Splice,
  SpliceQuery,
  StoredEvent,
  StoredSessionLink,
} from './backend.js'
import {Commits, type DatabaseJournal} from './commits.js'
import {listEventSeals, newestEventSeal, removeEvents, sealedFrom, storedEvents, storeEventSeal} from './event-seals.js'
import {endOf} from './key-range.js'
import {appendLinks, appendSplices, findSplice, listLinks, strangeSplices} from './session-links.js'
import {appendEvents, listEvents} from './stored-events.js'
import {migrate, type Tables} from './tables.js'

const sweepInterval = 5000
/** Expired items that one sweep removes in one transaction. */
const sweepBatch = 1000
/** Events in one statement. */
const insertedTogether = 32

interface Watcher {
  readonly prefix: string
  readonly listener: (notice: Notice) => void
}

type Database = Kysely<Tables> | Transaction<Tables>

/** The backend in SQL, the same text for every database that Kysely speaks to. */
export class SqlBackend implements Backend {
  readonly #db: Kysely<Tables>
  readonly #clock: Clock
  readonly #watchers = new Set<Watcher>()
  readonly #sweeper: NodeJS.Timeout
  /** As it is stored; undefined when that is not known. */
  #newestSeal: EventSeal | undefined
  readonly #commits: Commits

  private constructor(db: Kysely<Tables>, clock: Clock, commits: Commits) {
    this.#db = db
    this.#clock = clock
    this.#commits = commits
    this.#sweeper = setInterval(() => {
      // A failed sweep is repeated by the next one; reads do not depend on it.
      this.#sweep().catch(() => undefined)
    }, sweepInterval).unref()
  }

  static async open(db: Kysely<Tables>, clock: Clock, journal: DatabaseJournal): Promise<SqlBackend> {
    await db.transaction().execute(migrate)
    return new SqlBackend(db, clock, await Commits.open(journal, db))
  }

  async get(key: string): Promise<Item | undefined> {
    const row = await this.#live(this.#db).where('key', '=', key).executeTakeFirst()
    return row && toItem(row)
  }

  async range(prefix: string, {after, limit}: RangeOptions = {}): Promise<Item[]> {
    let query = this.#live(this.#db).where('key', '>=', prefix).orderBy('key')
    const end = endOf(prefix)
    if (end !== undefined) query = query.where('key', '<', end)
    if (after !== undefined) query = query.where('key', '>', after)
    if (limit !== undefined) query = query.limit(limit)
    return (await query.execute()).map(toItem)
  }

  async write(changes: readonly Change[], events?: Events): Promise<(number | undefined)[]> {
    const notices = await this.#commits.run(async () => {
      const {made, newest} = await this.#db.transaction().execute(async (db) => {
        let revision = await reserveRevisions(db, changes.length)
        const made: (Notice | undefined)[] = []
        for (const change of changes) made.push(await this.#change(db, change, revision++))
        return {made, newest: events ? (await this.#append(db, events)).newest : this.#newestSeal}
      })
      this.#newestSeal = newest
      return made
    })
    this.#announce(notices)
    return notices.map((notice) => notice && (notice.type === 'put' ? notice.item.revision : notice.revision))
  }

  async create(key: string, value: string, expires?: number): Promise<number> {
    return this.#writeOne({type: 'put', key, value, expires, expect: 'absent'})
  }

  async put(key: string, value: string, expires?: number): Promise<number> {
    return this.#writeOne({type: 'put', key, value, expires})
  }

  async delete(key: string): Promise<boolean> {
    const [revision] = await this.write([{type: 'delete', key}])
    return revision !== undefined
  }

  watch(prefix: string, listener: (notice: Notice) => void): () => void {
    const watcher = {prefix, listener}
    this.#watchers.add(watcher)
    return () => {
      this.#watchers.delete(watcher)
    }
  }

  async appendEvents(records: readonly EventRecord[], seal?: EventSealer): Promise<AppendOutcome[]> {
    return this.#commits.run(async () => {
      const {outcomes, newest} = await this.#db.transaction().execute((db) => this.#append(db, {records, seal}))
      this.#newestSeal = newest
      return outcomes
    })
  }

  listEvents(query: EventQuery): Promise<EventPage> {
    return listEvents(this.#db, query)
  }

  storedEvents(page: Page): Promise<StoredEvent[]> {
    return storedEvents(this.#db, page)
  }

  listEventSeals(page: Page): Promise<EventSeal[]> {
    return listEventSeals(this.#db, page)
  }

  sealedFrom(): Promise<number> {
    return sealedFrom(this.#db)
  }

  async pruneEvents({number, position}: Pick<EventSeal, 'number' | 'position'>, change: Change): Promise<void> {
    const notice = await this.#commits.run(() =>
      this.#db.transaction().execute(async (db) => {
        await removeEvents(db, {number, position})
        return this.#change(db, change, await reserveRevisions(db, 1))
      }),
    )
    this.#announce([notice])
  }

  appendLinks(links: readonly SessionLink[], make: LinkMaker): ReturnType<Backend['appendLinks']> {
    return this.#commits.run(() =>
      this.#db.transaction().execute(async (db) => {
        return appendLinks(db, {links, make, first: await reserveRevisions(db, links.length)})
      }),
    )
  }

  listLinks(query: SessionLinkQuery): Promise<StoredSessionLink[]> {
    return listLinks(this.#db, query)
  }

  appendSplices(splices: readonly Splice[]): Promise<void> {
    return this.#commits.run(() => appendSplices(this.#db, splices))
  }

  strangeSplices(query: SpliceQuery): Promise<Splice[]> {
    return strangeSplices(this.#db, query)
  }

  splice(id: string): Promise<Splice | undefined> {
    return findSplice(this.#db, id)
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper)
    this.#watchers.clear()
    await this.#commits.close(() => this.#db.destroy())
  }

  async #writeOne(change: Change & {type: 'put'}): Promise<number> {
    const [revision] = await this.write([change])
    return revision ?? 0
  }

  /** @returns what became of each, and the newest seal when the transaction is committed; until then none is known */
  async #append(
    db: Database,
    {records, seal}: Events,
  ): Promise<{readonly outcomes: AppendOutcome[]; readonly newest: EventSeal | undefined}> {
    let newest = this.#newestSeal
    this.#newestSeal = undefined
    const position = await reserveRevisions(db, records.length)
    const outcomes: AppendOutcome[] = []
    for (let start = 0; start < records.length; start += insertedTogether) {
      const some = records.slice(start, start + insertedTogether)
      outcomes.push(...(await appendEvents(db, some, position + start)))
    }
    const stored = records
      .map((record, index) => ({position: position + index, record}))
      .filter((_event, index) => outcomes[index] === 'stored')
    if (seal && stored.length > 0) {
      newest = seal(stored, newest ?? (await newestEventSeal(db)))
      await storeEventSeal(db, newest)
    }
    return {outcomes, newest}
  }

  async #change(db: Database, change: Change, revision: number): Promise<Notice | undefined> {
    const {key, expect} = change
    const current = await this.#live(db).where('key', '=', key).executeTakeFirst()
    if (expect === 'absent' && current) {
      throw new PosternError('ALREADY_EXISTS', 'There is an item with this key already.')
    }
    if (expect === 'present' && !current) throw new PosternError('NOT_FOUND', 'There is no item with this key.')
    if (typeof expect === 'number' && current?.revision !== expect) {
      throw new PosternError('CONFLICT', 'The item was changed or deleted by someone else in between.', {
        hint: 'Read it again and repeat the change.',
      })
    }
    if (change.type === 'delete') {
      if (!current) return undefined
      await db.deleteFrom('items').where('key', '=', key).execute()
      return {type: 'delete', key, revision}
    }
    const row = {key, value: change.value, revision, expires: change.expires ?? null}
    await db
      .insertInto('items')
      .values(row)
      .onConflict((conflict) => conflict.column('key').doUpdateSet(row))
      .execute()
    return {type: 'put', item: toItem(row)}
  }

  async #sweep(): Promise<void> {
    const now = this.#clock.now()
    const expired = this.#db.selectFrom('items').select('key').where('expires', '<=', now).limit(sweepBatch)
    const keys = (await expired.execute()).map(({key}) => key)
    // A write that changes nothing would keep the disk from sleeping.
    if (keys.length === 0) return
    const notices = await this.#commits.run(() =>
      this.#db.transaction().execute(async (db) => {
        const unrenewed = db.deleteFrom('items').where('key', 'in', keys).where('expires', '<=', now)
        const removed = await unrenewed.returning('key').execute()
        const revision = await reserveRevisions(db, removed.length)
        return removed.map(({key}, index) => ({type: 'delete' as const, key, revision: revision + index}))
      }),
    )
    this.#announce(notices)
  }

  #live(db: Database) {
    return db
      .selectFrom('items')
      .selectAll()
      .where((eb) => eb.or([eb('expires', 'is', null), eb('expires', '>', this.#clock.now())]))
  }

  #announce(notices: readonly (Notice | undefined)[]): void {
    for (const notice of notices) {
      if (!notice) continue
      const key = notice.type === 'put' ? notice.item.key : notice.key
      for (const {prefix, listener} of this.#watchers) if (key.startsWith(prefix)) listener(notice)
    }
  }
}

/**
 * The first of so many numbers in a row. One counter for everything, moved inside the write's own transaction: a later
 * commit has larger numbers.
 */
async function reserveRevisions(db: Database, count: number): Promise<number> {
  await db
    .updateTable('counters')
    .set((eb) => ({value: eb('value', '+', count)}))
    .where('name', '=', 'revision')
    .execute()
  const counter = db.selectFrom('counters').select('value').where('name', '=', 'revision')
  return (await counter.executeTakeFirstOrThrow()).value - count + 1
}

function toItem({key, value, revision, expires}: Tables['items']): Item {
  return {key, value, revision, ...(expires === null ? {} : {expires})}
}
