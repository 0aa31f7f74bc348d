import {createServer, type AddressInfo, type Server, type Socket} from 'node:net'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import type {ServerError} from '../../../src/lib/pgwire/server-error.js'
import type {Database} from '../../../src/lib/resources/database.js'
import {freePort} from '../../helpers/cli.js'
import {startTestPostgres} from '../../helpers/postgres.js'
import {expectDocumented, psqlText} from '../../helpers/troubleshooting.js'
import {minute, Plane} from './plane.js'
import {databaseResource, issueLeaf, refusal, serverCertificate, startRig, until, type Rig} from './rig.js'

let plane: Plane
let rig: Rig
const cleanups: (() => Promise<unknown>)[] = []
const databases: Database[] = []
let closedPort = 0

async function postgresWith(setup: Parameters<typeof startTestPostgres>[0]): Promise<PostgresServer> {
  const server = await startTestPostgres(setup)
  cleanups.push(() => server.stop())
  return server
}

/** Something that answers an SSLRequest with these bytes. */
async function answering(answer: string): Promise<number> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('data', () => socket.write(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

function serve(name: string, uri: string, spec: Partial<Database['spec']> = {}): void {
  databases.push(databaseResource(name, uri, spec))
}

beforeAll(async () => {
  plane = await Plane.create()
  const clientAuthorities = plane.dbClient.certificate
  const certificate = await serverCertificate(plane)
  const leaf = (changes: Parameters<typeof issueLeaf>[2]): ReturnType<typeof issueLeaf> =>
    issueLeaf(plane.db, undefined, {purposes: ['server'], commonName: '127.0.0.1', ...changes})
  const [good, otherName, nameless, expired, strange, picky] = await Promise.all([
    postgresWith({
      tls: {...certificate, clientAuthorities},
      hbaLines: ['hostssl all alice,nobody-here 127.0.0.1/32 cert'],
    }),
    postgresWith({tls: {...(await leaf({hosts: ['db.internal']})), clientAuthorities}}),
    postgresWith({tls: {...(await leaf({})), clientAuthorities}}),
    postgresWith({
      tls: {...(await leaf({hosts: ['127.0.0.1'], notAfter: Date.now() - minute})), clientAuthorities},
    }),
    postgresWith({
      tls: {
        ...(await issueLeaf(plane.host, undefined, {purposes: ['server'], hosts: ['127.0.0.1']})),
        clientAuthorities,
      },
    }),
    postgresWith({tls: {...certificate, clientAuthorities: plane.host.certificate}}),
  ])
  await good.execute('CREATE ROLE alice LOGIN')
  const at = ({port}: {port: number}): string => `127.0.0.1:${port}`
  closedPort = await freePort()
  serve('good', at(good))
  serve('no-such-host', 'no-such-host.invalid:5432')
  serve('closed', `127.0.0.1:${closedPort}`)
  serve('no-tls', `127.0.0.1:${await answering('N')}`)
  serve('injecting', `127.0.0.1:${await answering('Sgarbage')}`)
  serve('no-postgres', `127.0.0.1:${await answering('HTTP/1.1 400 Bad Request')}`)
  serve('other-name', at(otherName))
  serve('named', at(otherName), {tls: {server_name: 'db.internal'}})
  serve('any-name', at(otherName), {tls: {mode: 'verify-ca'}})
  serve('nameless', at(nameless))
  serve('expired', at(expired))
  serve('strange', at(strange))
  serve('own-ca', at(strange), {tls: {ca_cert: plane.host.certificate}})
  serve('insecure', at(strange), {tls: {mode: 'insecure'}})
  serve('picky', at(picky))
  // The certificates of "named", "any-name" and the like are checked before the server looks for the role.
  rig = await startRig({plane, uri: at(good), agent: {databases}})
})

afterAll(async () => {
  await rig.stop()
  for (const cleanup of cleanups.reverse()) await cleanup()
})

/** What a client is told when it asks for a session, and the audit with it. */
async function failure(database: string, dbUser = 'alice'): Promise<ServerError | undefined> {
  plane.put({
    kind: 'role',
    name: 'access',
    item: {
      kind: 'role',
      version: 'v7',
      metadata: {name: 'access'},
      spec: {allow: {db_labels: {'*': ['*']}, db_users: ['*'], db_names: ['*']}},
    },
  })
  const route = {database, protocol: 'postgres' as const, dbUser, dbName: 'postgres', dbRoles: []}
  const error = await refusal(rig, await rig.guest({route}), {user: dbUser})
  const audited = (): boolean =>
    plane.events.some(
      (event) => event.code === 'TDB00W' && event.db_service === database && event.error === error?.message,
    )
  await until(audited, `the failure of ${database} is audited`)
  return error
}

describe('a database that cannot be reached', () => {
  it('is told apart: no such name', async () => {
    const error = await failure('no-such-host')
    expect(error).toMatchObject({severity: 'FATAL', code: '08001'})
    expect(error?.message).toBe('The host name "no-such-host.invalid" of the database cannot be resolved.')
    expect(error?.hint).toContain('DNS')
  })

  it('is told apart: nothing listens', async () => {
    const error = await failure('closed')
    expect(error).toMatchObject({severity: 'FATAL', code: '08001'})
    expect(error?.message).toBe(`The database server at 127.0.0.1:${closedPort} refused the connection.`)
    expect(error?.hint).toContain('firewalls')
  })

  it('is told apart: no TLS, and nothing is sent in clear', async () => {
    expect((await failure('no-tls'))?.message).toMatch(
      /does not offer TLS, so nothing was sent to it \(127\.0\.0\.1:\d+\)\./,
    )
  })

  it('is told apart: bytes behind the agreement to TLS', async () => {
    expect((await failure('injecting'))?.message).toContain('Unencrypted data')
  })

  it('is told apart: something else answers', async () => {
    expect((await failure('no-postgres'))?.message).toContain('no PostgreSQL server')
  })
})

describe('the certificate of a database server', () => {
  it('must be for the name in the uri', async () => {
    const error = await failure('other-name')
    expect(error?.message).toMatch(/^The certificate of the database server at 127\.0\.0\.1:\d+ is for other names\.$/)
    expect(error?.hint).toContain('tls.server_name')
  })

  it('must carry alternative names, whatever its subject says', async () => {
    expect((await failure('nameless'))?.message).toContain('carries no subject alternative names')
  })

  it('must not have expired', async () => {
    expect((await failure('expired'))?.message).toContain('has expired')
  })

  it('must come from the CA of the database', async () => {
    const error = await failure('strange')
    expect(error?.message).toContain('is not trusted')
    expect(error?.hint).toContain('tls.ca_cert_file')
  })

  it.each(['named', 'any-name', 'own-ca', 'insecure'])('is taken where the resource says so: %s', async (database) => {
    // As far as the sign-in, where the server does not know the role.
    expect((await failure(database))?.message).toContain('role "alice" does not exist')
  })
})

describe('a database that refuses the sign-in', () => {
  it('is quoted, with its SQLSTATE and advice', async () => {
    const error = await failure('good', 'nobody-here')
    expect(error).toMatchObject({severity: 'FATAL', code: '28000'})
    expect(error?.message).toContain('Database "good" refused the sign-in: ')
    expect(error?.message).toContain('role "nobody-here" does not exist')
    expect(error?.detail).toBe('There is no user "nobody-here" in the database.')
    expect(error?.hint).toContain('CREATE USER "nobody-here";')
    await expectDocumented('own-no-such-user', psqlText(error ?? {}))
  })

  it('has no line in pg_hba.conf for the user', async () => {
    const error = await failure('good', 'bob')
    expect(error).toMatchObject({severity: 'FATAL', code: '28000'})
    await expectDocumented('no-hba-entry', psqlText(error ?? {}))
  })

  it('may refuse the certificate of the agent', async () => {
    const error = await failure('picky')
    expect(error?.message).toContain('does not accept the certificate of the agent')
    expect(error?.hint).toContain('ssl_ca_file')
    await expectDocumented('client-certificate-refused', psqlText(error ?? {}))
  })
})
