/** Cancel requests that somebody guesses, and a server whose queries cannot be cancelled. */
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, expect, it} from '@jest/globals'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {encodeCancel} from '../../../src/lib/pgwire/first-packet.js'
import {cstring, encodeMessage} from '../../../src/lib/pgwire/message.js'
import {frontend} from '../../../src/lib/pgwire/message-types.js'
import {decodeBackendKeyData, type BackendKey} from '../../../src/lib/pgwire/server-messages.js'
import {databaseServerName} from '../../../src/lib/resources/route.js'
import {startTestPostgres} from '../../helpers/postgres.js'
import {startPsql} from '../../helpers/psql.js'
import {report, scaled} from '../../helpers/scale.js'
import {cluster, Plane} from '../../lib/agent/plane.js'
import {
  databaseResource,
  greet,
  guestIdentity,
  openSession,
  serverCertificate,
  startRig,
  until,
  type MessageReader,
  type Rig,
} from '../../lib/agent/rig.js'
import {startFalseServer, type FalseServer} from './false-server.js'

let plane: Plane
let postgres: PostgresServer
let keyless: FalseServer
let rig: Rig
/** The agent's monotonic clock stands still: an allowance that is spent stays spent, however slow the machine is. */
let now = performance.now()

beforeAll(async () => {
  plane = await Plane.create()
  const certificate = await serverCertificate(plane)
  postgres = await startTestPostgres({tls: {...certificate, clientAuthorities: plane.dbClient.certificate}})
  await postgres.execute('CREATE ROLE alice LOGIN')
  keyless = await startFalseServer(certificate, {keyless: true})
  const databases = [
    databaseResource('example', `127.0.0.1:${postgres.port}`),
    databaseResource('keyless', `127.0.0.1:${keyless.port}`),
  ]
  rig = await startRig({plane, uri: '', agent: {databases, clock: {...systemClock, monotonic: () => now}}})
})

afterAll(async () => {
  await rig.stop()
  await keyless.stop()
  await postgres.stop()
})

async function sleeper(user = 'alice'): Promise<{reader: MessageReader; key: BackendKey}> {
  const {socket, reader, opening} = await openSession(rig, await rig.guest({user}))
  const payload = opening.find(({type}) => type === 'K')?.payload ?? Buffer.alloc(0)
  const key = decodeBackendKeyData({payload, size: payload.length})
  if (!key) throw new Error('no key')
  socket.write(encodeMessage(frontend.query, cstring('select pg_sleep(300)')))
  await until(async () => (await stateOf(key)) === 'active', 'the query runs')
  return {reader, key}
}

async function stateOf({pid}: BackendKey): Promise<unknown> {
  return (await postgres.execute(`select state from pg_stat_activity where pid = ${pid}`))[0]?.state
}

/** Presents a key; how many bytes came back before the end. */
async function present(guest: Awaited<ReturnType<Rig['guest']>>, key: BackendKey): Promise<number> {
  const socket = await rig.dial(guest)
  await greet(socket)
  let received = 0
  socket.on('data', (bytes: Buffer) => (received += bytes.length))
  socket.write(encodeCancel(key))
  await until(() => socket.closed, 'the agent closes')
  return received
}

it(
  'C02: guesses with the right process id are closed in silence, count, use up the allowance of who guesses, and touch nobody',
  async () => {
    plane.put({kind: 'user', name: 'bob', item: {name: 'bob', roles: ['access']}})
    const [target, other] = [await sleeper(), await sleeper('bob')]
    const [alice, bob] = [await rig.guest(), await rig.guest({user: 'bob'})]
    const guesses = scaled(30, 10_000)
    const before = rig.agent.statistics().cancelRequests
    const began = performance.now()
    const answers: number[] = []
    let next = 0
    const guess = async (): Promise<void> => {
      while (next < guesses) {
        const secret = Buffer.from(target.key.secret)
        secret.writeUInt32BE((secret.readUInt32BE() + ++next) >>> 0)
        answers.push(await present(alice, {pid: target.key.pid, secret}))
      }
    }
    await Promise.all(Array.from({length: 10}, guess))
    report(`C02: ${guesses} guesses on connections of their own in ${Math.round(performance.now() - began)} ms`)
    expect(answers).toEqual(answers.map(() => 0))
    expect(rig.agent.statistics().cancelRequests - before).toBe(answers.length)

    // Her allowance is spent, so that not even the right key counts; another user's is not.
    await present(alice, target.key)
    expect([await stateOf(target.key), await stateOf(other.key)]).toEqual(['active', 'active'])
    await present(bob, other.key)
    expect(await other.reader.error()).toMatchObject({code: '57014'})
    now += 1000
    await present(alice, target.key)
    expect(await target.reader.error()).toMatchObject({code: '57014'})
  },
  scaled(60_000, 600_000),
)

it('C04: a server without BackendKeyData gives the client none; psql connects and is told that Ctrl-C does nothing', async () => {
  const {route} = guestIdentity()
  if (!route) throw new Error('no route')
  const guest = await rig.guest({route: {...route, database: 'keyless'}})
  const {socket, opening} = await openSession(rig, guest)
  expect(opening.map(({type}) => type).join('')).toBe('RSNZ')
  socket.destroy()

  await until(async () => {
    const direct = await rig.dialDirect(guest).catch(() => undefined)
    direct?.destroy()
    return direct !== undefined
  }, 'the direct route has its certificate')
  const directory = await mkdtemp(join(tmpdir(), 'postern-test-'))
  try {
    const files = {ca: plane.host.certificate, crt: guest.certificate, key: guest.privateKey.reveal()}
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text, {mode: 0o600})
    const {host, port} = rig.proxy.address
    const words = {
      ...{host: databaseServerName('keyless', cluster), hostaddr: host, port, user: 'alice', dbname: 'postgres'},
      ...{sslmode: 'verify-full', sslrootcert: `${directory}/ca`, sslcert: `${directory}/crt`},
      ...{sslkey: `${directory}/key`, gssencmode: 'disable'},
    }
    const connection = Object.entries(words).map(([name, value]) => `${name}=${value}`)
    const {code, stdout, stderr} = await startPsql([connection.join(' '), '-c', '\\echo connected']).finished
    expect({code, stdout}).toEqual({code: 0, stdout: 'connected\n'})
    expect(stderr).toMatch(/^NOTICE: {2}.*cannot cancel.*\nHINT: {2}/)
  } finally {
    await rm(directory, {recursive: true})
  }
})
