import pg, {type ClientConfig} from 'pg'
import {values} from './types.js'

/** What `pg` gets from a database: the same on every way to it. Bytes of the binary format are shown as hexadecimal. */
export async function runPg(config: ClientConfig): Promise<Record<string, unknown>> {
  const client = new pg.Client(config)
  // What the server sent, before any parsing: text as text, binary as bytes.
  const raw = {getTypeParser: () => (value: unknown) => (Buffer.isBuffer(value) ? value.toString('hex') : value)}
  await client.connect()
  const rows = async (text: string, parameters: unknown[] = [], more: object = {}): Promise<unknown> => {
    const result = await client.query({text, values: parameters, rowMode: 'array', types: raw, ...more})
    return {rows: result.rows, fields: result.fields.map(({name, dataTypeID}) => [name, dataTypeID])}
  }
  const failure = async (text: string, parameters?: unknown[]): Promise<unknown> =>
    client.query(text, parameters).then(
      () => 'no error',
      (error: unknown) => {
        const {code, severity, message, position} = error as pg.DatabaseError
        return {code, severity, message, position}
      },
    )
  const all = `select ${Object.entries(values)
    .map(([name, sql]) => `${sql} as "${name}"`)
    .join(', ')}`
  const found: Record<string, unknown> = {}
  try {
    found.simple = await client.query({text: all, types: raw}).then(({rows: [row]}) => row as unknown)
    found.text = await rows(`${all} where $1`, [true])
    found.binary = await rows(`${all} where $1`, [true], {binary: true})
    found.named = [
      await rows('select $1::int + 1', [1], {name: 'n'}),
      await rows('select $1::int + 1', [2], {name: 'n'}),
    ]
    found.parameters = await rows('select $1::bytea, $2::text, $3::int[], $4::jsonb, $5::text', [
      ...[Buffer.from([0, 1, 255]), "it's\n", [1, 2], {a: 1}, null],
    ])
    found.severalStatements = await client
      .query('create temp table several (a int); insert into several values (1), (2); select * from several')
      .then((results) => (results as unknown as pg.QueryResult[]).map(({command, rowCount}) => [command, rowCount]))
    found.empty = await client.query('').then(({command, rowCount}) => [command, rowCount])
    // Execute with a limit of rows, and again until the portal is done.
    found.portions = await rows('select n from generate_series(1, 7) n where n <> $1', [3], {rows: 2})
    await client.query('begin')
    await client.query('declare c cursor for select n, n * n from generate_series(1, 10) n')
    found.cursor = [await rows('fetch 3 from c'), await rows('move 2 in c'), await rows('fetch all from c')]
    await client.query('commit')
    found.errors = await errorsInTransaction()
    found.queued = await Promise.all([
      ...Array.from({length: 20}, (_, number) => rows('select $1::int * 2', [number])),
      failure('select 1 / $1::int', [0]),
      rows('select 42'),
    ])
    found.notifications = await notifications()
  } finally {
    await client.end()
  }
  return found

  async function errorsInTransaction(): Promise<unknown> {
    await client.query('create temp table once (id int primary key)')
    await client.query('begin')
    await client.query('savepoint before')
    await client.query('insert into once values (1)')
    const duplicate = await failure('insert into once values ($1)', [1])
    const aborted = await failure('select 1')
    await client.query('rollback to before')
    const after = await rows('select count(*) from once')
    const unknown = await failure('select * from nowhere')
    await client.query('rollback')
    const syntax = await failure('selec 1')
    return {duplicate, aborted, after, unknown, syntax, end: await rows('select count(*) from once')}
  }

  async function notifications(): Promise<unknown> {
    const heard: unknown[] = []
    client.on('notification', ({channel, payload}) => heard.push([channel, payload]))
    await client.query('listen news')
    for (const payload of ['one', '', 'x'.repeat(7000)])
      await client.query('select pg_notify($1, $2)', ['news', payload])
    // It arrives before the answer to the next statement at the latest.
    await client.query('unlisten news')
    return heard
  }
}
