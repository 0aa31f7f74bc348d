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
  sessionEvents,
  startRig,
  until,
  type MessageReader,
  type Rig,
} from '../../lib/agent/rig.js'
import {startFalseServer, type FalseServer} from './false-server.js'

let plane: Plane
let postgres: PostgresServer
let keyless: FalseServer
/** Gives a secret of 256 bytes to whoever asks. */
let longKey: FalseServer
let emptyKey: FalseServer
let old: FalseServer
let rig: Rig
/** The agent's monotonic clock stands still: an allowance that is spent stays spent, however slow the machine is. */
let now = performance.now()

beforeAll(async () => {
  plane = await Plane.create()
  const certificate = await serverCertificate(plane)
  postgres = await startTestPostgres({tls: {...certificate, clientAuthorities: plane.dbClient.certificate}})
  await postgres.execute('CREATE ROLE alice LOGIN')
  keyless = await startFalseServer(certificate, {keyless: true})
  longKey = await startFalseServer(certificate, {secret: Buffer.alloc(256, 7)})
  emptyKey = await startFalseServer(certificate, {secret: Buffer.alloc(0)})
  old = await startFalseServer(certificate, {old: true})
  const databases = [
    databaseResource('long-key', `127.0.0.1:${longKey.port}`),
    databaseResource('empty-key', `127.0.0.1:${emptyKey.port}`),
    databaseResource('old', `127.0.0.1:${old.port}`),
    databaseResource('example', `127.0.0.1:${postgres.port}`),
    databaseResource('keyless', `127.0.0.1:${keyless.port}`),
  ]
  rig = await startRig({plane, uri: '', agent: {databases, clock: {...systemClock, monotonic: () => now}}})
})

afterAll(async () => {
  await rig.stop()
  for (const server of [keyless, longKey, emptyKey, old]) await server.stop()
  await postgres.stop()
})

async function sleeper(user = 'alice', minor = 0): Promise<{reader: MessageReader; key: BackendKey}> {
  const {socket, reader, opening} = await openSession(rig, await rig.guest({user}), {}, minor)
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
  scaled(180_000, 600_000),
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

async function guestOf(database: string): Promise<Awaited<ReturnType<Rig['guest']>>> {
  const {route} = guestIdentity()
  if (!route) throw new Error('no route')
  return rig.guest({route: {...route, database}})
}

function keyIn(opening: Awaited<ReturnType<typeof openSession>>['opening']): BackendKey | undefined {
  const payload = opening.find(({type}) => type === 'K')?.payload ?? Buffer.alloc(0)
  return decodeBackendKeyData({payload, size: payload.length})
}

it('C05: a client and a server of protocol 3.2 agree on it, and the cancel request of one finds the query of the other', async () => {
  const {reader, key} = await sleeper('alice', 2)
  expect(key.secret).toHaveLength(32)
  await present(await rig.guest(), key)
  expect(await reader.error()).toMatchObject({code: '57014'})
})

it.each([
  [0, 4],
  [2, 32],
])('C05: a client of 3.%d has a secret of %d bytes, and the server gets its own of 256 back', async (minor, length) => {
  const guest = await guestOf('long-key')
  const {socket, opening} = await openSession(rig, guest, {}, minor)
  const key = keyIn(opening)
  expect(key?.secret).toHaveLength(length)
  // Health checks say nothing.
  const newest = (): Buffer | undefined => longKey.visits.findLast(({secured}) => secured.length > 0)?.secured
  expect(newest()?.readUInt32BE(4)).toBe(3 * 65_536 + minor)
  await present(guest, key ?? {pid: 0, secret: Buffer.alloc(4)})
  await until(() => newest()?.length === 268, 'the cancel request arrives')
  expect(newest()).toEqual(encodeCancel({pid: 4711, secret: Buffer.alloc(256, 7)}))
  socket.destroy()
})

it('C05: a server whose key is empty is refused', async () => {
  const {opening} = await openSession(rig, await guestOf('empty-key'))
  expect(opening.map(({type}) => type)).toEqual(['E'])
})

it('C05: a client of 3.2 keeps its version where the server knows only 3.0, old ones that refuse to negotiate too', async () => {
  const {socket, opening} = await openSession(rig, await guestOf('old'), {}, 2)
  expect(opening.map(({type}) => type).join('')).toBe('RSKZ')
  expect(keyIn(opening)?.secret).toHaveLength(32)
  const startups = old.visits.filter(({secured}) => secured.length > 0)
  expect(startups.map(({secured}) => secured.readUInt16BE(6))).toEqual([2, 0])
  socket.destroy()
})

it('C03: a key is void with its session, also for the next session of the same process id', async () => {
  const guest = await guestOf('long-key')
  const application = 'whose key is void'
  const first = await openSession(rig, guest, {application_name: application})
  first.socket.destroy()
  await sessionEvents(plane, application)
  // This server gives every session the same process id.
  const second = await openSession(rig, guest)
  const cancels = (): number => longKey.visits.filter(({secured}) => secured.length === 268).length
  const before = cancels()
  for (const {opening} of [first, second]) await present(guest, keyIn(opening) ?? {pid: 0, secret: Buffer.alloc(4)})
  await until(() => cancels() > before, 'the cancel request arrives')
  expect(cancels()).toBe(before + 1)
  second.socket.destroy()
})

it('a cancel request for a session that is elsewhere is passed on, and one that another agent has passed on finds its session', async () => {
  const {reader, key} = await sleeper()
  const elsewhere = {pid: key.pid, secret: Buffer.from('else')}
  await present(await rig.guest(), elsewhere)
  const secretText = (secret: Buffer): string => secret.toString('base64')
  await until(
    () => plane.forwardedCancels.some(({secret}) => secret === secretText(elsewhere.secret)),
    'it is passed on',
  )
  expect(plane.forwardedCancels.at(-1)).toEqual({
    ...{database: 'example', user: 'alice', pid: key.pid},
    secret: secretText(elsewhere.secret),
  })
  const passedOn = plane.forwardedCancels.length
  // Nobody hears of one while the stream is away.
  const heard = (): Promise<void> => until(() => plane.heard(), 'the agent listens, and has heard everything')
  await heard()
  plane.cancel({user: 'bob', pid: key.pid, secret: secretText(key.secret)})
  plane.cancel({user: 'alice', pid: key.pid, secret: secretText(elsewhere.secret)})
  await heard()
  expect(await stateOf(key)).toBe('active')
  plane.cancel({user: 'alice', pid: key.pid, secret: secretText(key.secret)})
  expect(await reader.error()).toMatchObject({code: '57014'})
  // What came from another agent goes no further.
  expect(plane.forwardedCancels).toHaveLength(passedOn)
})
