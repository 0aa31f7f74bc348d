import {once} from 'node:events'
import {text} from 'node:stream/consumers'
import postgres, {type Options, type Sql} from 'postgres'
import {values} from './types.js'

/** What `postgres` gets from a database; it pipelines by itself and copies with streams. */
export async function runPostgres(options: Options<Record<string, never>>): Promise<Record<string, unknown>> {
  const sql = postgres({...options, max: 1, onnotice: () => undefined, connection: {application_name: 'postgres.js'}})
  const failure = (query: PromiseLike<unknown>): PromiseLike<unknown> =>
    query.then(
      () => 'no error',
      (error: unknown) => {
        const {code, severity, message} = error as postgres.PostgresError
        return {code, severity, message}
      },
    )
  const found: Record<string, unknown> = {}
  try {
    for (const [name, value] of Object.entries(values)) {
      const [row] = await sql.unsafe(`select ${value} as value`).raw()
      found[name] = row?.map(String)
    }
    found.columns = await sql`select 1::int8 as a, 'x'::text as b`.then(({columns, command, count}) => {
      return {columns: columns.map(({name, type}) => [name, type]), command, count}
    })
    found.parameters =
      await sql`select ${1}::int as a, ${'x'}::text as b, ${null}::text as c, ${sql.array([1, 2])}::int[] as d`
    found.described = await sql`select ${1}::int8 + 1`
      .describe()
      .then(({types, columns}) => [types, columns.map(({type}) => type)])
    found.pipeline = await Promise.all([
      ...Array.from({length: 30}, (_, number) => sql`select ${number}::int * 3 as n`),
      failure(sql`select 1 / ${0}::int`),
      sql`select 'after' as n`,
    ])
    found.cursor = []
    for await (const rows of sql`select n from generate_series(1, 10) n where n <> ${5}`.cursor(3)) {
      ;(found.cursor as unknown[]).push(rows.map(({n}) => n as unknown))
    }
    found.transaction = await failure(
      sql.begin(async (inside) => {
        await inside`create temp table gone (id int primary key)`
        await inside`insert into gone values (1)`
        await failure(inside.savepoint((deeper) => deeper`insert into gone values (1)`))
        await inside`insert into gone select 1`
      }),
    )
    found.gone = await failure(sql`select * from gone`)
    found.largeObject = await largeObject(sql)
    found.notifications = await notifications(sql)
    found.copy = await copy(sql)
  } finally {
    await sql.end()
  }
  return JSON.parse(
    JSON.stringify(found, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
  ) as Record<string, unknown>
}

async function copy(sql: Sql): Promise<unknown> {
  await sql`create temp table copied (id int, word text)`
  const writable = await sql`copy copied from stdin`.writable()
  for (let id = 0; id < 5000; id += 1) if (!writable.write(`${id}\tword ${id}\n`)) await once(writable, 'drain')
  writable.end()
  await once(writable, 'finish')
  const [count] = await sql`select count(*), sum(id), max(word) from copied`
  const out = await text(await sql`copy (select * from copied order by id desc limit 3000) to stdout`.readable())
  return {count, lines: out.split('\n').length, last: out.slice(-40)}
}

type Step = (argument?: number) => Promise<unknown>

async function largeObject(sql: Sql): Promise<unknown> {
  // Its types say that nothing is read.
  const object = (await sql.largeObject()) as unknown as Record<'seek' | 'size' | 'truncate' | 'close', Step> & {
    readonly write: (bytes: Buffer) => Promise<unknown>
    readonly read: (size: number) => Promise<[{readonly data: Buffer}]>
  }
  await object.write(Buffer.from('0123456789'.repeat(1000)))
  await object.seek(5)
  const [{data}] = await object.read(10)
  const size = await object.size()
  await object.truncate(7)
  const after = await object.size()
  await object.close()
  return {size, part: String(data), after}
}

async function notifications(sql: Sql): Promise<unknown> {
  const heard: string[] = []
  let enough: () => void = () => undefined
  const all = new Promise<void>((resolve) => (enough = resolve))
  const listening = await sql.listen('news', (payload) => {
    heard.push(payload)
    if (heard.length === 3) enough()
  })
  for (const payload of ['one', 'zwei ☃', 'x'.repeat(7000)]) await sql.notify('news', payload)
  await all
  await listening.unlisten()
  return heard
}
