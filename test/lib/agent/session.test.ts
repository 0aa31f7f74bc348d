import {createHash} from 'node:crypto'
import {readdir, readFile} from 'node:fs/promises'
import {join} from 'node:path'
import type {TLSSocket} from 'node:tls'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {encodeCancel} from '../../../src/lib/pgwire/first-packet.js'
import {cstring, encodeMessage, int32} from '../../../src/lib/pgwire/message.js'
import {frontend} from '../../../src/lib/pgwire/message-types.js'
import {decodeBackendKeyData, decodeParameterStatus} from '../../../src/lib/pgwire/server-messages.js'
import {Plane} from './plane.js'
import {
  greet,
  guestIdentity,
  MessageReader,
  openSession,
  sessionEvents,
  startPostgresFor,
  startRig,
  startup,
  until,
  type Rig,
} from './rig.js'
import {ask} from './wire.js'

let plane: Plane
let postgres: PostgresServer
let rig: Rig

beforeAll(async () => {
  plane = await Plane.create()
  postgres = await startPostgresFor(
    plane,
    `CREATE ROLE alice LOGIN; CREATE TABLE products (id int); GRANT ALL ON products TO alice;
     CREATE TABLE words (word text, number serial); GRANT ALL ON words, words_number_seq TO alice`,
  )
  rig = await startRig({plane, uri: `127.0.0.1:${postgres.port}`})
})

afterAll(async () => {
  await rig.stop()
  await postgres.stop()
})

const query = (sql: string): Buffer => encodeMessage(frontend.query, cstring(sql))
const terminate = encodeMessage(frontend.terminate)
const sync = encodeMessage(frontend.sync)

const eventsOf = (application: string): ReturnType<typeof sessionEvents> => sessionEvents(plane, application)

function closed(socket: TLSSocket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve()
    else
      socket.once('close', () => {
        resolve()
      })
  })
}

describe('a session', () => {
  it('runs queries as the user of the certificate and is audited from start to end', async () => {
    const {socket, reader, opening} = await openSession(rig, await rig.guest(), {application_name: 'first'})
    expect(opening.map(({type}) => type).join('')).toMatch(/^RS+KZ$/)
    const names = opening
      .filter(({type}) => type === 'S')
      .map(({payload}) => decodeParameterStatus({payload, size: payload.length})?.name)
    expect(names).toContain('server_version')
    socket.write(query('select current_user, 6 * 7'))
    const answer = await reader.until('Z')
    expect(answer.map(({type}) => type)).toEqual(['T', 'D', 'C', 'Z'])
    expect(answer[1]?.payload.toString('latin1')).toContain('alice')
    expect(answer[1]?.payload.toString('latin1')).toContain('42')
    socket.write(terminate)
    await closed(socket)

    const events = await eventsOf('first')
    expect(events.map(({event}) => event)).toEqual(['db.session.start', 'db.session.query', 'db.session.end'])
    const [start, asked, end] = events
    expect(start).toMatchObject({
      code: 'TDB00I',
      success: true,
      ei: 0,
      user: 'alice',
      db_service: 'example',
      db_user: 'alice',
      db_name: 'postgres',
      db_type: 'self-hosted',
      db_origin: 'config-file',
      db_uri: `127.0.0.1:${postgres.port}`,
      server_id: rig.agent.hostId,
      server_hostname: 'db-host',
    })
    expect(start?.postgres_pid).toBeGreaterThan(0)
    expect(start?.['addr.remote']).toBe(`127.0.0.1:${socketPort(start)}`)
    expect(asked).toMatchObject({
      ...{code: 'TDB02I', ei: 1, db_query: 'select current_user, 6 * 7', success: true},
      ...{command: 'SELECT', affected_records: 1, transaction: 1, transaction_outcome: 'commit'},
      columns: [
        {name: 'current_user', type: 'name'},
        {name: '?column?', type: 'int4'},
      ],
      bytes_from_client: query('select current_user, 6 * 7').length,
      bytes_from_server: answer.reduce((sum, {payload}) => sum + payload.length + 5, 0),
    })
    expect(asked?.duration_ms).toBeGreaterThan(0)
    expect(end).toMatchObject({code: 'TDB01I', ei: 2, reason: 'The client ended the session.'})
    expect(end?.bytes_from_client).toBe(query('select current_user, 6 * 7').length + terminate.length)
  })

  it('has a query in the spool before the database has it', async () => {
    plane.deaf = true
    try {
      const {socket, reader} = await openSession(rig, await rig.guest())
      socket.write(query('select pg_sleep(0.1) /* spooled */'))
      await reader.until('Z')
      const directory = join(rig.directory, 'spool')
      const files = await Promise.all((await readdir(directory)).map((name) => readFile(join(directory, name), 'utf8')))
      expect(files.join('')).toContain('/* spooled */')
      socket.destroy()
    } finally {
      plane.deaf = false
    }
  })

  it('audits the extended protocol', async () => {
    const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: 'extended'})
    const value = Buffer.from('7')
    socket.write(
      Buffer.concat([
        encodeMessage(frontend.parse, cstring('s1'), cstring('select $1::int'), Buffer.from([0, 0])),
        encodeMessage(
          frontend.bind,
          ...[cstring('p1'), cstring('s1'), Buffer.from([0, 0, 0, 1]), int32(value.length), value, Buffer.from([0, 0])],
        ),
        encodeMessage(frontend.execute, cstring('p1'), int32(0)),
        encodeMessage(frontend.close, Buffer.from('S'), cstring('s1')),
        sync,
      ]),
    )
    expect((await reader.until('Z')).map(({type}) => type).join('')).toBe('12DC3Z')
    socket.destroy()
    const events = await eventsOf('extended')
    expect(events.slice(1, -1)).toMatchObject([
      {
        ...{code: 'TDB02I', statement_name: 's1', portal_name: 'p1', db_query: 'select $1::int'},
        ...{db_query_parameters: ['7'], success: true, affected_records: 1},
      },
    ])
    expect(events.at(-1)).toMatchObject({reason: 'The client closed the connection.'})
  })

  it('carries a query of many megabytes and audits its beginning and its hash', async () => {
    const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: 'long'})
    const sql = `select length('${'x'.repeat(5_000_000)}')`
    socket.write(query(sql))
    expect((await reader.until('Z'))[1]?.payload.toString('latin1')).toContain('5000000')
    socket.write(terminate)
    const events = await eventsOf('long')
    const asked = events.find(({event}) => event === 'db.session.query')
    expect(asked).toMatchObject({
      db_query_truncated: true,
      db_query_sha256: createHash('sha256').update(sql).digest('hex'),
    })
    expect(String(asked?.db_query)).toHaveLength(65_536)
    expect(events.map(({ei}) => ei)).toEqual(events.map((_event, index) => index))
    const parts = events.filter(({event}) => event === 'db.session.sql.part')
    expect(parts.map(({data}) => Buffer.from(String(data), 'base64').toString()).join('') === sql).toBe(true)
  })

  it('keeps the pieces of long SQL behind the statements before it', async () => {
    const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: 'mixed'})
    const long = `select 1 /* ${'x'.repeat(200_000)} */`
    socket.write(Buffer.concat([query('select 0'), query(long), query('select 2')]))
    for (let answers = 0; answers < 3; answers += 1) await reader.until('Z')
    socket.write(terminate)
    const asked = (await eventsOf('mixed')).filter(({code}) => code === 'TDB02I' || code === 'PDB00I')
    const parts = asked.filter(({code}) => code === 'PDB00I')
    expect(parts.map(({data}) => Buffer.from(String(data), 'base64').toString()).join('') === long).toBe(true)
    expect(asked.filter(({code}) => code === 'TDB02I')).toMatchObject([
      {db_query: 'select 0'},
      {db_query_truncated: true, db_query_parts: parts[0]?.part_of},
      {db_query: 'select 2'},
    ])
  })

  it('B06: says of each statement what came of it, in pipelines and after errors too', async () => {
    const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: 'results'})
    const zero = Buffer.from([0, 0])
    const none = Buffer.concat([zero, zero, zero])
    const extended = (sql: string): Buffer[] => [
      encodeMessage(frontend.parse, cstring(''), cstring(sql), zero),
      encodeMessage(frontend.bind, cstring(''), cstring(''), none),
      encodeMessage(frontend.execute, cstring(''), int32(0)),
    ]
    const steps = [
      query('create temp table taken (id int)'),
      query('select 1; insert into taken select 7; select 1/0; select 2'),
      ...[...extended('select 3'), ...extended('selec 4'), ...extended('select 5'), sync],
      // The server ignores the Sync in front of the data.
      ...[...extended('copy taken from stdin'), sync],
      ...[encodeMessage(frontend.copyData, Buffer.from('1\n2\n')), encodeMessage(frontend.copyDone), sync],
      query(''),
      query('select 6'),
    ]
    socket.write(Buffer.concat(steps))
    for (let answers = 0; answers < 6; answers += 1) await reader.until('Z')
    socket.write(terminate)
    const events = await eventsOf('results')
    const statements = events.filter(({event}) => event === 'db.session.query')
    expect(
      statements.map(({db_query, error, execution, affected_records: rows}) => [db_query, error ?? execution ?? rows]),
    ).toEqual([
      ['create temp table taken (id int)', 0],
      ['select 1; insert into taken select 7; select 1/0; select 2', 'ERROR: division by zero (SQLSTATE 22012)'],
      ['select 3', 1],
      ['selec 4', 'ERROR: syntax error at or near "selec" (SQLSTATE 42601)'],
      ['select 5', 'skipped'],
      ['copy taken from stdin', 2],
      ['', 0],
      ['select 6', 1],
    ])
    expect(statements[1]?.results).toMatchObject([
      {command: 'SELECT', affected_records: 1},
      {command: 'INSERT', affected_records: 1},
    ])
  })

  it('carries bulk out unchanged, also to a client that reads late', async () => {
    const {socket} = await openSession(rig, await rig.guest())
    socket.removeAllListeners('data')
    socket.pause()
    socket.write(query("copy (select repeat('0123456789', 100) || n from generate_series(1, 20000) n) to stdout"))
    await new Promise((resolve) => setTimeout(resolve, 300))
    const expected = Buffer.concat(
      Array.from({length: 20_000}, (_, index) =>
        encodeMessage(frontend.copyData, Buffer.from(`${'0123456789'.repeat(100)}${index + 1}\n`)),
      ),
    )
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.resume()
    const size = (): number => chunks.reduce((total, {length}) => total + length, 0)
    await until(() => size() > expected.length + 20, 'all rows are there')
    const start = Buffer.concat(chunks).indexOf('d')
    expect(
      Buffer.concat(chunks)
        .subarray(start, start + expected.length)
        .equals(expected),
    ).toBe(true)
    socket.destroy()
  })

  it('B08: carries bulk in', async () => {
    const {socket, reader} = await openSession(rig, await rig.guest())
    socket.write(query('copy products from stdin'))
    await reader.until('G')
    const rows = Buffer.from(Array.from({length: 20_000}, (_, number) => `${number}\n`).join(''))
    for (let offset = 0; offset < rows.length; offset += 5000) {
      socket.write(encodeMessage(frontend.copyData, rows.subarray(offset, offset + 5000)))
    }
    socket.write(encodeMessage(frontend.copyDone))
    await reader.until('Z')
    socket.write(query('select count(*) from products'))
    expect((await reader.until('Z'))[1]?.payload.toString('latin1')).toContain('20000')
    socket.destroy()
  })

  it('carries a pipeline of large parameters, one record for each, though the server answers only at its end', async () => {
    const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: 'large-batch'})
    const count = 400
    const insert = [ask.bind('', 's', ['x'.repeat(60_000)]), ask.execute('')]
    socket.write(ask.parse('s', 'insert into products select 1 where $1::text is null'))
    for (let index = 0; index < count; index += 1) socket.write(Buffer.concat(insert))
    socket.write(ask.sync)
    const answers = await reader.until('Z')
    expect(answers.filter(({type}) => type === 'C')).toHaveLength(count)
    socket.end()
    const events = await eventsOf('large-batch')
    expect(events.filter(({code}) => code === 'TDB02I')).toHaveLength(count)
  })

  it('gives the client a cancel secret of the agent, of 4 bytes in protocol 3.0 and of 32 in 3.2', async () => {
    for (const [minor, length] of [
      [0, 4],
      [2, 32],
    ] as const) {
      const {socket, opening} = await openSession(rig, await rig.guest(), {}, minor)
      const payload = opening.find(({type}) => type === 'K')?.payload ?? Buffer.alloc(0)
      expect(decodeBackendKeyData({payload, size: payload.length})?.secret).toHaveLength(length)
      socket.destroy()
    }
  })

  it('tells a client that asks for a newer protocol what is spoken', async () => {
    const {socket, opening} = await openSession(rig, await rig.guest(), {'_pq_.test': ''}, 9999)
    expect(opening.map(({type}) => type).join('')).toMatch(/^vRS+KZ$/)
    socket.destroy()
  })

  it('asks the control plane once for the certificate of several sessions', async () => {
    const guest = await rig.guest()
    const before = plane.clientCertificates
    const sessions = await Promise.all([1, 2, 3].map(() => openSession(rig, guest)))
    for (const {socket} of sessions) socket.destroy()
    expect(plane.clientCertificates).toBe(before + 1)
  })

  it('forwards the settings of the startup message', async () => {
    const {socket, reader} = await openSession(rig, await rig.guest(), {
      options: '-c statement_timeout=4321',
      TimeZone: 'Asia/Tokyo',
    })
    socket.write(query("select current_setting('statement_timeout'), current_setting('TimeZone')"))
    const row = (await reader.until('Z'))[1]?.payload.toString('latin1')
    expect(row).toContain('4321ms')
    expect(row).toContain('Asia/Tokyo')
    socket.destroy()
  })

  it('takes an empty database name of the route for the user’s own', async () => {
    await postgres.execute('CREATE DATABASE alice')
    const route = {database: 'example', protocol: 'postgres', dbUser: 'alice', dbName: '', dbRoles: []} as const
    const guest = await rig.guest({route: {...route, dbRoles: []}})
    const {socket, opening} = await openSession(rig, guest, {database: 'alice'})
    expect(opening.at(-1)?.type).toBe('Z')
    socket.destroy()
  })
})

describe('a client in another encoding', () => {
  const told = (events: readonly Readonly<Record<string, unknown>>[]): unknown[][] =>
    events
      .filter(({event}) => event === 'db.session.query')
      .map(({db_query: sql, db_query_encoding: encoding, db_query_parameters: parameters}) => [
        sql,
        encoding,
        parameters,
      ])

  const bytesIn = async (encoding: string, text: string): Promise<Buffer> => {
    const [row] = await postgres.execute(`select convert_to($$${text}$$, '${encoding}') as bytes`)
    return row?.bytes as Buffer
  }

  const queryOf = (sql: Buffer): Buffer => encodeMessage(frontend.query, sql, Buffer.from([0]))

  it.each([
    ['LATIN1', 'für 1£'],
    ['WIN1252', 'für 1€'],
    ['WIN1251', 'привет'],
    ['SJIS', '表示ソート'],
    ['EUC_JP', '日本語'],
    ['EUC_KR', '한국어'],
    ['BIG5', '許功蓋'],
    ['GB18030', '简体😀'],
  ])('is audited as the server reads it: %s', async (encoding, text) => {
    const name = `in ${encoding}`
    const {socket, reader} = await openSession(rig, await rig.guest(), {
      application_name: name,
      client_encoding: encoding,
    })
    const sql = `insert into words values ('${text}') /* ${encoding} */`
    const value = await bytesIn(encoding, text)
    socket.write(queryOf(await bytesIn(encoding, sql)))
    await reader.until('Z')
    const insert = await bytesIn(encoding, `insert into words values ($1) /* ${text} */`)
    socket.write(
      Buffer.concat([
        encodeMessage(frontend.parse, value, Buffer.from([0]), insert, Buffer.from([0, 0, 1]), int32(25)),
        encodeMessage(
          frontend.bind,
          Buffer.from([0]),
          value,
          Buffer.from([0, 0, 1, 0, 1, 0, 1]),
          int32(value.length),
          value,
          Buffer.from([0, 0]),
        ),
        ...[encodeMessage(frontend.execute, Buffer.from([0]), int32(0)), sync],
      ]),
    )
    await reader.until('Z')
    socket.write(queryOf(await bytesIn(encoding, `select 1 as "${text}"`)))
    await reader.until('Z')
    socket.write(queryOf(await bytesIn(encoding, `select "${text}"`)))
    await reader.until('Z')
    socket.write(terminate)
    await closed(socket)

    const events = await eventsOf(name)
    expect(told(events)).toEqual([
      [sql, encoding, undefined],
      [`insert into words values ($1) /* ${text} */`, encoding, [text]],
      [`select 1 as "${text}"`, encoding, undefined],
      [`select "${text}"`, encoding, undefined],
    ])
    expect(events[2]).toMatchObject({statement_name: text})
    expect(events[3]).toMatchObject({columns: [{name: text, type: 'int4'}]})
    expect(events[4]?.error).toBe(`ERROR: column "${text}" does not exist (SQLSTATE 42703)`)
    expect(await postgres.execute(`select count(*)::int as count from words where word = $$${text}$$`)).toEqual([
      {count: 2},
    ])
  })

  it('keeps bytes that its encoding does not have, and SQL in ASCII as it is', async () => {
    const name = 'in bytes'
    const {socket, reader} = await openSession(rig, await rig.guest(), {
      application_name: name,
      client_encoding: 'WIN1251',
    })
    for (const sql of ["select 'plain'", "select '\x98\xe9'"]) {
      socket.write(queryOf(Buffer.from(sql, 'latin1')))
      await reader.until('Z')
    }
    socket.write(terminate)
    const events = await eventsOf(name)
    expect(told(events)).toEqual([
      ["select 'plain'", undefined, undefined],
      ["select '\udc98й'", 'WIN1251', undefined],
    ])
    expect(events[2]).toMatchObject({success: false, sqlstate: '22P05'})
  })

  it('changes it: what the server reads from then on is read so, also when it was sent before', async () => {
    const name = 'changing'
    const {socket, reader} = await openSession(rig, await rig.guest(), {
      application_name: name,
      client_encoding: 'UTF8',
    })
    const word = (text: string): Buffer => queryOf(Buffer.from(`insert into words values ('${text}') /* changing */`))
    const bound = Buffer.concat([
      encodeMessage(
        frontend.parse,
        cstring(''),
        cstring("insert into words values ($1 || 'ñ') /* changing */"),
        Buffer.from([0, 0]),
      ),
      encodeMessage(frontend.bind, Buffer.from([0, 0, 0, 0, 0, 1]), int32(2), Buffer.from('ô'), Buffer.from([0, 0])),
      ...[encodeMessage(frontend.execute, Buffer.from([0]), int32(0)), sync],
    ])
    // All at once: the server comes to most of it when the encoding is another one.
    socket.write(
      Buffer.concat([
        ...[word('é'), query('set client_encoding to LATIN1'), word('è'), bound],
        ...[
          query("select set_config('client_encoding', 'WIN1251', false)"),
          word('ê'),
          bound,
          query('reset client_encoding'),
          word('ë'),
        ],
      ]),
    )
    for (let answers = 0; answers < 9; answers += 1) await reader.until('Z')
    socket.write(word('ü'))
    await reader.until('Z')
    socket.write(terminate)

    const events = await eventsOf(name)
    const sent = told(events).filter(([sql]) => String(sql).includes('words'))
    const sqlOf = (text: string): string => `insert into words values ('${text}') /* changing */`
    const boundIn = (text: string): string => `insert into words values ($1 || '${text}') /* changing */`
    expect(sent).toEqual([
      [sqlOf('é'), undefined, undefined],
      [sqlOf('Ã¨'), 'LATIN1', undefined],
      [boundIn('Ã±'), 'LATIN1', ['Ã´']],
      [sqlOf('ГЄ'), 'WIN1251', undefined],
      [boundIn('Г±'), 'WIN1251', ['Гґ']],
      [sqlOf('ë'), undefined, undefined],
      [sqlOf('ü'), undefined, undefined],
    ])
    const words = await postgres.execute("select word from words where word ~ '^(é|Ã|Г|ë|ü)' order by number")
    expect(words.map(({word: each}) => each)).toEqual(['é', 'Ã¨', 'Ã´Ã±', 'ГЄ', 'ГґГ±', 'ë', 'ü'])
  })

  it('may not change it while the names of prepared statements are under way that it makes others', async () => {
    const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: 'renaming'})
    const parse = encodeMessage(frontend.parse, cstring('é'), cstring('select 1'), Buffer.from([0, 0]))
    socket.write(Buffer.concat([query('set client_encoding to LATIN1'), parse, sync]))
    expect(await reader.error()).toMatchObject({code: '08P01', severity: 'FATAL'})
    const events = await eventsOf('renaming')
    expect(events.at(-1)?.reason).toMatch(/^The client changed its encoding while requests were under way/)
  })
})

describe('cancelling', () => {
  async function sleeper(): Promise<{socket: TLSSocket; reader: MessageReader; key: {pid: number; secret: Buffer}}> {
    const {socket, reader, opening} = await openSession(rig, await rig.guest())
    const payload = opening.find(({type}) => type === 'K')?.payload ?? Buffer.alloc(0)
    const key = decodeBackendKeyData({payload, size: payload.length})
    if (!key) throw new Error('no key')
    socket.write(query('select pg_sleep(600)'))
    const active = `select 1 from pg_stat_activity where pid = ${key.pid} and state = 'active'`
    await until(async () => (await postgres.execute(active)).length > 0, 'the query runs')
    return {socket, reader, key}
  }

  async function send(guest: Awaited<ReturnType<Rig['guest']>>, key: {pid: number; secret: Buffer}): Promise<void> {
    const socket = await rig.dial(guest)
    await greet(socket)
    socket.resume()
    socket.write(encodeCancel(key))
    await closed(socket)
  }

  it('stops the query of the same user, also with another certificate', async () => {
    const {socket, reader, key} = await sleeper()
    await send(await rig.guest(), key)
    expect(await reader.error()).toMatchObject({code: '57014'})
    socket.destroy()
  })

  it('works with a certificate that has expired since', async () => {
    const {socket, reader, key} = await sleeper()
    const expired = await rig.guest({}, {notAfter: Date.now() - 1000})
    const canceller = await rig.dial(expired)
    expect(await greet(canceller)).toMatchObject({ok: false, code: 'expired'})
    canceller.resume()
    canceller.write(encodeCancel(key))
    await closed(canceller)
    expect(await reader.error()).toMatchObject({code: '57014'})
    socket.destroy()
  })

  it('does nothing for another user or a wrong secret', async () => {
    plane.put({kind: 'user', name: 'bob', item: {name: 'bob', roles: ['access']}})
    const {socket, reader, key} = await sleeper()
    await send(await rig.guest({user: 'bob'}), key)
    const wrong = Buffer.from(key.secret)
    wrong[0] = (wrong[0] ?? 0) ^ 1
    await send(await rig.guest(), {pid: key.pid, secret: wrong})
    await send(await rig.guest(), {pid: key.pid, secret: Buffer.concat([key.secret, key.secret])})
    const [state] = await postgres.execute(`select state from pg_stat_activity where pid = ${key.pid}`)
    expect(state).toEqual({state: 'active'})
    await send(await rig.guest(), key)
    expect(await reader.error()).toMatchObject({code: '57014'})
    socket.destroy()
  })
})

describe('the direct route', () => {
  it('serves a client without our protocol', async () => {
    await until(async () => {
      const socket = await rig.dialDirect(await rig.guest()).catch(() => undefined)
      socket?.destroy()
      return socket !== undefined
    }, 'the direct route has its certificate')
    const socket = await rig.dialDirect(await rig.guest())
    const reader = new MessageReader(socket)
    socket.write(startup())
    expect((await reader.until('Z')).at(-1)?.type).toBe('Z')
    socket.write(query('select 1'))
    expect((await reader.until('Z')).map(({type}) => type)).toEqual(['T', 'D', 'C', 'Z'])
    socket.destroy()
  })

  it('answers a refused client after its startup message', async () => {
    const socket = await rig.dialDirect(undefined)
    const reader = new MessageReader(socket)
    socket.write(startup())
    expect(await reader.error()).toMatchObject({
      severity: 'FATAL',
      code: '28000',
      message: 'The connection came without a certificate.',
    })
  })

  it('refuses a certificate for another database', async () => {
    const {route} = guestIdentity()
    if (!route) throw new Error('no route')
    const socket = await rig.dialDirect(await rig.guest({route: {...route, database: 'other'}}))
    const reader = new MessageReader(socket)
    socket.write(startup())
    expect((await reader.error())?.message).toContain('is for "other"')
  })
})

function socketPort(start: Readonly<Record<string, unknown>> | undefined): string {
  return String(start?.['addr.remote']).split(':').at(-1) ?? ''
}
