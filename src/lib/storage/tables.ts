import type {Kysely} from 'kysely'
import {PosternError} from '../core/errors.js'

export interface Tables {
  items: {key: string; value: string; revision: number; expires: number | null}
  events: {
    position: number
    time: number
    event: string
    user: string | null
    sid: string | null
    ei: number | null
    hash: string
    body: string
  }
  event_seals: {
    number: number
    position: number
    events: number
    link: string
    checksums: string
    signature: string
  }
  session_links: {
    position: number
    host: string
    stream: string
    number: number
    sid: string
    kind: 'start' | 'end' | 'pruned'
    records: number
    head: string
    connection: string | null
    link: string
    signature: string
  }
  splices: {
    id: string
    host: string
    opened: number
    ended: number
    to_agent: number
    to_client: number
  }
  counters: {name: string; value: number}
  schema_version: {version: number}
}

type Migration = (db: Kysely<Tables>) => Promise<void>

/** Steps from an empty file to today's tables. A released step never changes; new ones go to the end. */
const migrations: readonly Migration[] = [createTables, createSessionLinks, createEventSeals]

/**
 * Brings the tables up to date; call it inside a transaction.
 * @throws PosternError INVALID when a newer version wrote them
 */
export async function migrate(db: Kysely<Tables>): Promise<void> {
  await db.schema.createTable('schema_version').ifNotExists().addColumn('version', 'integer').execute()
  const current = (await db.selectFrom('schema_version').select('version').executeTakeFirst())?.version ?? 0
  if (current > migrations.length) {
    throw new PosternError('INVALID', 'The storage was written by a newer version of Postern.', {
      hint: 'Start the version that wrote it, or a later one.',
    })
  }
  if (current === migrations.length) return
  for (const step of migrations.slice(current)) await step(db)
  await db.deleteFrom('schema_version').execute()
  await db.insertInto('schema_version').values({version: migrations.length}).execute()
}

async function createTables(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable('items')
    .addColumn('key', 'text', (column) => column.primaryKey())
    .addColumn('value', 'text', (column) => column.notNull())
    .addColumn('revision', 'bigint', (column) => column.notNull())
    .addColumn('expires', 'bigint')
    .execute()
  await db.schema.createIndex('items_expires').on('items').column('expires').execute()
  await db.schema
    .createTable('events')
    .addColumn('position', 'bigint', (column) => column.primaryKey())
    .addColumn('time', 'bigint', (column) => column.notNull())
    .addColumn('event', 'text', (column) => column.notNull())
    .addColumn('user', 'text')
    .addColumn('sid', 'text')
    .addColumn('ei', 'bigint')
    .addColumn('hash', 'text', (column) => column.notNull())
    .addColumn('body', 'text', (column) => column.notNull())
    .execute()
  // Both SQLite and PostgreSQL hold rows with a null in a unique index apart: events outside sessions do not collide.
  await db.schema.createIndex('events_session').on('events').columns(['sid', 'ei']).unique().execute()
  await db.schema.createIndex('events_time').on('events').column('time').execute()
  await db.schema.createIndex('events_user').on('events').columns(['user', 'position']).execute()
  await db.schema.createIndex('events_event').on('events').columns(['event', 'position']).execute()
  await db.schema
    .createTable('counters')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('value', 'bigint', (column) => column.notNull())
    .execute()
  await db.insertInto('counters').values({name: 'revision', value: 0}).execute()
}

/** Which sessions agents told of, in their order, and which connections the proxies carried. */
async function createSessionLinks(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable('session_links')
    .addColumn('position', 'bigint', (column) => column.primaryKey())
    .addColumn('host', 'text', (column) => column.notNull())
    .addColumn('stream', 'text', (column) => column.notNull())
    .addColumn('number', 'bigint', (column) => column.notNull())
    .addColumn('sid', 'text', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('records', 'bigint', (column) => column.notNull())
    .addColumn('head', 'text', (column) => column.notNull())
    .addColumn('connection', 'text')
    .addColumn('link', 'text', (column) => column.notNull())
    .addColumn('signature', 'text', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('session_links_sid').on('session_links').columns(['sid', 'kind']).unique().execute()
  await db.schema
    .createIndex('session_links_stream')
    .on('session_links')
    .columns(['host', 'stream', 'position'])
    .execute()
  await db.schema.createIndex('session_links_connection').on('session_links').column('connection').execute()
  await db.schema
    .createTable('splices')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('host', 'text', (column) => column.notNull())
    .addColumn('opened', 'bigint', (column) => column.notNull())
    .addColumn('ended', 'bigint', (column) => column.notNull())
    .addColumn('to_agent', 'bigint', (column) => column.notNull())
    .addColumn('to_client', 'bigint', (column) => column.notNull())
    .execute()
}

/** What vouches for events; for those that are there already nothing does. */
async function createEventSeals(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable('event_seals')
    // An integer, since SQLite then needs no index besides.
    .addColumn('number', 'integer', (column) => column.primaryKey())
    .addColumn('position', 'bigint', (column) => column.notNull())
    .addColumn('events', 'bigint', (column) => column.notNull())
    .addColumn('link', 'text', (column) => column.notNull())
    .addColumn('checksums', 'text', (column) => column.notNull())
    .addColumn('signature', 'text', (column) => column.notNull())
    .execute()
  const newest = await db
    .selectFrom('events')
    .select((eb) => eb.fn.max('position').as('position'))
    .executeTakeFirst()
  await db
    .insertInto('counters')
    .values({name: 'sealed_from', value: newest?.position ?? 0})
    .execute()
}
