import {once} from 'node:events'
import {connect} from 'node:net'
import {connect as connectTls} from 'node:tls'
import {setTimeout as sleep} from 'node:timers/promises'
import {AssumeRoleCommand, STSClient} from '@aws-sdk/client-sts'
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'
import pg from 'pg'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {gssencRequest, sslRequest} from '../../../src/lib/pgwire/first-packet.js'
import {requestTls} from '../../../src/lib/pgwire/tls-request.js'
import {
  addressOf,
  answerTo,
  psql,
  query,
  realPostgres,
  refusalOf,
  startOpenPostgres,
  tokenFor,
  type TokenDetails,
  type Visit,
} from './databases.js'
import {allow, home, region, startRig, trust, type Credentials, type Rig} from './rig.js'

const suffix = 'abcdefghijklm.us-west-1.rds.amazonaws.com:5432'
const instance = `postgres-1.${suffix}`
const primary = `aurora.cluster-${suffix}`
const reader = `aurora.cluster-ro-${suffix}`
const member = `aurora-instance-1.${suffix}`
const custom = `reports.cluster-custom-${suffix}`

let server: PostgresServer
let rig: Rig
let agent: Credentials

beforeAll(async () => {
  server = await startOpenPostgres()
  const connect = (id: string) => allow('rds-db:connect', `arn:aws:rds-db:${region}:${home}:dbuser:${id}/*`)
  rig = await startRig(
    {
      accounts: [
        {
          id: home,
          endpointId: 'abcdefghijklm',
          users: [
            {name: 'agent', inline: {db: connect('cluster-AURORA'), one: connect('db-ONE')}},
            {name: 'wrong-id', inline: {db: connect('db-MEMBER')}},
            {name: 'bounded', inline: {db: connect('*')}, boundary: 'none'},
            {name: 'operator', inline: {all: allow('*')}},
          ],
          policies: [{name: 'none', document: allow('s3:GetObject')}],
          roles: [{name: 'db-access', trust: trust({AWS: home}), inline: {db: connect('cluster-AURORA')}}],
          instances: [
            {id: 'postgres-1', region, resourceId: 'db-ONE', requireTls: false},
            {id: 'old', region, certificate: 'legacy'},
          ],
          clusters: [{id: 'aurora', region, resourceId: 'cluster-AURORA', customEndpoints: ['reports']}],
        },
      ],
    },
    realPostgres(server),
  )
  await server.execute(`
    create role alice login; grant rds_iam to alice;
    create role team; grant rds_iam to team; create role "O'Hara" login in role team;
    create role bob login password 'pencil'; create role root_like superuser login password 'pencil';
    create role carol; grant rds_iam to carol`)
  agent = rig.keyOf('agent')
})

afterAll(async () => {
  await rig.close()
  await server.stop()
})

let visit: Visit

beforeEach(async () => {
  const password = await tokenFor({endpoint: primary, user: 'alice', credentials: agent})
  visit = {endpoint: primary, kind: 'rds', user: 'alice', password}
})

afterEach(() => {
  const {switches, accounts} = rig.sandbox.world
  Object.assign(switches, {clockSkew: 0, signInsPerSecond: Infinity})
  switches.outages.clear()
  for (const cluster of accounts.get(home)?.clusters ?? []) cluster.iamAuthentication = true
  rig.clock.ahead = 0
  rig.clock.letGo()
})

const pamFailure = {code: '28000', message: 'PAM authentication failed for user "alice"'}

describe('a token lets in', () => {
  it.each([instance, primary, reader, member])('to %s, with psql and verify-full', async (endpoint) => {
    const password = await tokenFor({endpoint, user: 'alice', credentials: agent})
    expect(await psql(rig, {...visit, endpoint, password}, 'select current_user')).toBe('alice')
  })

  it('to a custom endpoint, whose name no certificate covers', async () => {
    const password = await tokenFor({endpoint: custom, user: 'alice', credentials: agent})
    const there = {...visit, endpoint: custom, password}
    await expect(psql(rig, there, 'select 1')).rejects.toThrow('does not match host name')
  })

  it('a member of rds_iam by way of another role', async () => {
    const password = await tokenFor({endpoint: primary, user: "O'Hara", credentials: agent})
    expect(await query(rig, {...visit, user: "O'Hara", password}, 'select current_user as who')).toEqual([
      {who: "O'Hara"},
    ])
  })

  it('with the long token of an assumed role, until its session ends', async () => {
    const sts = new STSClient(rig.client(rig.keyOf('operator')))
    const RoleArn = `arn:aws:iam::${home}:role/db-access`
    const {Credentials: given} = await sts.send(
      new AssumeRoleCommand({RoleArn, RoleSessionName: 'i-1', DurationSeconds: 900}),
    )
    const {AccessKeyId = '', SecretAccessKey = '', SessionToken = ''} = given ?? {}
    const credentials = {accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken}
    const password = await tokenFor({endpoint: primary, user: 'alice', credentials})
    expect(password.length).toBeGreaterThan(800)
    expect(await psql(rig, {...visit, password}, 'select 1')).toBe('1')
    const session = rig.sandbox.world.sessions.get(AccessKeyId)
    if (!session) throw new Error('no session')
    rig.sandbox.world.sessions.set(AccessKeyId, {...session, expires: rig.sandbox.world.now() - 1})
    expect(await refusalOf(query(rig, {...visit, password}, 'select 1'))).toEqual(pamFailure)
  })

  it('for fourteen minutes and not for sixteen', async () => {
    rig.clock.ahead = 14 * 60_000
    await query(rig, visit, 'select 1')
    rig.clock.ahead = 16 * 60_000
    expect(await refusalOf(query(rig, visit, 'select 1'))).toEqual(pamFailure)
  })
})

describe('PAM says no, in the same words, to a token', () => {
  const token = (details: Partial<TokenDetails> = {}): Promise<string> =>
    tokenFor({endpoint: primary, user: 'alice', credentials: agent, ...details})

  it.each<[string, string | RegExp, () => Promise<string>]>([
    ['for another endpoint of the cluster', /^the token is for aurora.cluster-ro-/, () => token({endpoint: reader})],
    ['for another port', /:5433\/$/, () => token({endpoint: primary.replace('5432', '5433')})],
    ['for localhost', 'the token is for localhost:5432/', () => token({endpoint: 'localhost:5432'})],
    ['for another user', 'the token is for another user', () => token({user: 'carol'})],
    ['for another region', 'the token is for region us-east-1', () => token({region: 'us-east-1'})],
    [
      'that may use another resource id',
      /cluster-AURORA\/alice \(identity\)$/,
      () => token({credentials: rig.keyOf('wrong-id')}),
    ],
    ['of somebody with a boundary', /\(boundary\)$/, () => token({credentials: rig.keyOf('bounded')})],
    [
      'signed with another secret',
      'the signature does not match',
      () => token({credentials: {...agent, secretAccessKey: 'x'}}),
    ],
    ['of an unknown key', /security token/, () => token({credentials: {...agent, accessKeyId: 'AKIAX'}})],
    ['that was changed', 'the signature does not match', () => token().then((text) => text.replace('=900', '=899'))],
    [
      'that was cut at 128 characters',
      'the password is no IAM token',
      () => token().then((text) => text.slice(0, 128)),
    ],
    ['that is none', 'the password is no IAM token', () => Promise.resolve('pencil')],
  ])('%s', async (_, reason, makeToken) => {
    expect(await refusalOf(query(rig, {...visit, password: await makeToken()}, 'select 1'))).toEqual(pamFailure)
    expect(rig.lastReason()).toEqual(typeof reason === 'string' ? reason : expect.stringMatching(reason))
  })

  it('when IAM authentication is off', async () => {
    for (const cluster of rig.sandbox.world.accounts.get(home)?.clusters ?? []) cluster.iamAuthentication = false
    expect(await refusalOf(query(rig, visit, 'select 1'))).toEqual(pamFailure)
  })

  it('when the clocks are twenty minutes apart', async () => {
    rig.sandbox.world.switches.clockSkew = 20 * 60_000
    expect(await refusalOf(query(rig, visit, 'select 1'))).toEqual(pamFailure)
  })

  it('when too many come at once', async () => {
    rig.clock.hold()
    rig.sandbox.world.switches.signInsPerSecond = 2
    const answers = await Promise.allSettled(Array.from({length: 5}, () => query(rig, visit, 'select 1')))
    expect(answers.filter(({status}) => status === 'fulfilled')).toHaveLength(2)
  })
})

describe('who is no member of rds_iam', () => {
  it('signs in with a password and SCRAM', async () => {
    expect(await psql(rig, {...visit, user: 'bob', password: 'pencil'}, 'select current_user')).toBe('bob')
    expect(await query(rig, {...visit, user: 'bob', password: 'pencil'}, 'select 1 as one')).toEqual([{one: 1}])
  })

  it.each(['bob', 'nobody', 'carol2'])('is refused as %s with a token for a password', async (user) => {
    const password = await tokenFor({endpoint: primary, user, credentials: agent})
    expect(await refusalOf(query(rig, {...visit, user, password}, 'select 1'))).toEqual({
      code: '28P01',
      message: `password authentication failed for user "${user}"`,
    })
  })

  it('may be a superuser', async () => {
    await query(rig, {...visit, user: 'root_like', password: 'pencil'}, 'select 1')
  })
})

describe('without TLS', () => {
  it('a member of rds_iam is rejected', async () => {
    const password = await tokenFor({endpoint: instance, user: 'alice', credentials: agent})
    expect(await refusalOf(query(rig, {...visit, endpoint: instance, password, tls: false}, 'select 1'))).toEqual({
      code: '28000',
      message: 'pg_hba.conf rejects connection for host "127.0.0.1", user "alice", database "postgres", no encryption',
    })
  })

  it('others are let in only where rds.force_ssl is off', async () => {
    const bob = {...visit, user: 'bob', password: 'pencil', tls: false}
    await query(rig, {...bob, endpoint: instance}, 'select 1')
    expect(await refusalOf(query(rig, bob, 'select 1'))).toEqual({
      code: '28000',
      message: 'no pg_hba.conf entry for host "127.0.0.1", user "bob", database "postgres", no encryption',
    })
  })

  it('a client that asks for GSS encryption first is sent on to TLS', async () => {
    const {host, port} = addressOf(rig, primary)
    const socket = connect(port, host)
    socket.write(gssencRequest)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    expect(answer.toString()).toBe('N')
    await requestTls(socket, {timeout: 60_000})
    const ca = rig.sandbox.authorities.rds.certificate
    const secure = connectTls({socket, ca, servername: primary.replace(':5432', '')})
    await once(secure, 'secureConnect')
    secure.destroy()
  })
})

it('a legacy certificate has no alternative names', async () => {
  const {host, port} = addressOf(rig, `old.${suffix}`)
  const socket = connect(port, host)
  await requestTls(socket, {timeout: 60_000})
  const secure = connectTls({socket, ca: rig.sandbox.authorities.rds.certificate, checkServerIdentity: () => undefined})
  await once(secure, 'secureConnect')
  expect(secure.getPeerCertificate().subjectaltname).toBeUndefined()
  expect(secure.getPeerCertificate().subject.CN).toBe(`old.${suffix.replace(':5432', '')}`)
  secure.destroy()
})

it('TLS is not offered a second time', async () => {
  expect(await answerTo(rig, visit, sslRequest)).toBe('')
})

describe('a session', () => {
  it('is the real server’s, errors and large results included', async () => {
    expect(await refusalOf(query(rig, {...visit, database: 'nowhere'}, 'select 1'))).toMatchObject({code: '3D000'})
    expect(await refusalOf(query(rig, visit, 'select * from nowhere'))).toMatchObject({code: '42P01'})
    const rows = await query(rig, visit, `select repeat('x', 1000) from generate_series(1, 20000)`)
    expect(rows).toHaveLength(20_000)
  })

  it('has queries that can be cancelled', async () => {
    const {host, port} = addressOf(rig, primary)
    const ssl = {ca: rig.sandbox.authorities.rds.certificate, servername: primary.replace(':5432', '')}
    const client = new pg.Client({host, port, user: 'alice', password: visit.password, database: 'postgres', ssl})
    await client.connect()
    const refusal = refusalOf(client.query('select pg_sleep(600)'))
    const {processID, secretKey} = client as unknown as {processID: number; secretKey: number}
    const running = `select 1 from pg_stat_activity where state = 'active' and query = 'select pg_sleep(600)'`
    while ((await server.execute(running)).length === 0) await sleep(10)
    const cancel = connect(port, host)
    const packet = Buffer.alloc(16)
    packet.writeUInt32BE(16, 0)
    packet.writeUInt32BE(80_877_102, 4)
    packet.writeInt32BE(processID, 8)
    packet.writeInt32BE(secretKey, 12)
    cancel.end(packet)
    expect(await refusal).toMatchObject({code: '57014'})
    await client.end()
  })

  it('ends when the real server does, and is refused during an outage', async () => {
    const ended = refusalOf(query(rig, visit, 'select pg_terminate_backend(pg_backend_pid())'))
    expect(await ended).toMatchObject({code: '57P01'})
    rig.sandbox.world.switches.outages.add('databases')
    await expect(query(rig, visit, 'select 1')).rejects.toThrow()
  })
})
