import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {Secret} from '../../../src/lib/core/secret.js'
import {encodeStartup} from '../../../src/lib/pgwire/first-packet.js'
import {signIn} from '../../../src/lib/pgwire/sign-in.js'
import {
  answerTo,
  openTls,
  psql,
  query,
  realPostgres,
  refusalOf,
  startOpenPostgres,
  tokenFor,
  type Visit,
} from './databases.js'
import {allow, home, region, startRig, type Rig} from './rig.js'

const proxy = 'rds-proxy.proxy-abcdefghijklm.us-west-1.rds.amazonaws.com:5432'
const extra = 'extra.endpoint.proxy-abcdefghijklm.us-west-1.rds.amazonaws.com:5432'
const lax = 'lax.proxy-abcdefghijklm.us-west-1.rds.amazonaws.com:5432'
const timeout = 60_000

let server: PostgresServer
let rig: Rig

beforeAll(async () => {
  server = await startOpenPostgres()
  const secrets = [
    {user: 'alice', password: 'password_for_alice'},
    {user: 'app', password: 'password_for_app', iam: 'DISABLED'},
    {user: 'stale', password: 'yesterday'},
    {user: 'direct', password: 'password_for_direct'},
  ] as const
  rig = await startRig(
    {
      accounts: [
        {
          id: home,
          endpointId: 'abcdefghijklm',
          users: [
            {name: 'agent', inline: {db: allow('rds-db:connect', `arn:aws:rds-db:${region}:${home}:dbuser:prx-ONE/*`)}},
            {name: 'stranger'},
          ],
          proxies: [
            {name: 'rds-proxy', region, resourceId: 'prx-ONE', secrets, endpoints: [{name: 'extra'}]},
            {name: 'lax', region, resourceId: 'prx-TWO', secrets, requireTls: false},
          ],
        },
      ],
    },
    realPostgres(server),
  )
  await server.execute(`
    create role alice login password 'password_for_alice'; create role app login password 'password_for_app';
    create role stale login password 'today'; create role bob login password 'pencil';
    create role direct login password 'password_for_direct'; grant rds_iam to direct`)
})

afterAll(async () => {
  await rig.close()
  await server.stop()
})

afterEach(() => {
  rig.sandbox.world.switches.signInsPerSecond = Infinity
  rig.clock.letGo()
})

async function visitAs(user: string, endpoint = proxy, key = 'agent'): Promise<Visit> {
  return {endpoint, kind: 'rdsproxy', user, password: await tokenFor({endpoint, user, credentials: rig.keyOf(key)})}
}

describe('a user with a secret', () => {
  it('signs in with a token, with psql and verify-full', async () => {
    expect(await psql(rig, await visitAs('alice'), 'select current_user')).toBe('alice')
  })

  it('signs in at an extra endpoint, whose certificate is the proxy’s', async () => {
    const there = await visitAs('alice', extra)
    await expect(psql(rig, there, 'select 1')).rejects.toThrow('does not match host name')
  })

  it('gets no key to cancel queries with', async () => {
    const socket = await openTls(rig, {endpoint: proxy, kind: 'rdsproxy'})
    const password = new Secret((await visitAs('alice')).password)
    const request = {user: 'alice', database: 'postgres', parameters: new Map<string, string>(), allowCleartext: true}
    const result = await signIn(socket, {...request, authenticator: {kind: 'cleartext', password}}, {timeout})
    expect(result).toMatchObject({ok: true, transactionStatus: 'I'})
    expect(result).not.toHaveProperty('backendKey')
    socket.destroy()
  })

  it('signs in with its password when IAM is not for it', async () => {
    const app = {...(await visitAs('app')), password: 'password_for_app'}
    expect(await psql(rig, app, 'select current_user')).toBe('app')
  })
})

describe('a sign-in is refused', () => {
  const alice = 'The IAM authentication failed for the role alice. Check the IAM token for this role and try again.'

  it.each<[string, string, () => Promise<Visit>]>([
    [
      'without a secret',
      'This RDS proxy has no credentials for the role bob. Check the credentials for this role and try again.',
      () => visitAs('bob'),
    ],
    ['without the policy', alice, () => visitAs('alice', proxy, 'stranger')],
    ['with the proxy’s policy for another proxy', alice, () => visitAs('alice', lax)],
    ['with a token for another endpoint', alice, async () => ({...(await visitAs('alice', extra)), endpoint: proxy})],
    [
      'with a password where IAM is required',
      alice,
      async () => ({...(await visitAs('alice')), password: 'password_for_alice'}),
    ],
    [
      'with a token where IAM is off',
      'The password that was provided for the role app is wrong.',
      () => visitAs('app'),
    ],
    [
      'with a secret that is not the database’s',
      'Request returned an error: password authentication failed for user "stale"',
      () => visitAs('stale'),
    ],
    [
      'as a user that the database knows by token only',
      'Request returned an error: PAM authentication failed for user "direct"',
      () => visitAs('direct'),
    ],
    ['without TLS', 'This RDS Proxy requires TLS connections', async () => ({...(await visitAs('alice')), tls: false})],
    [
      'by token without TLS',
      'IAM is allowed only with SSL connections.',
      async () => ({...(await visitAs('alice', lax)), tls: false}),
    ],
  ])('%s', async (_, message, visit) => {
    expect(await refusalOf(query(rig, await visit(), 'select 1'))).toEqual({code: '28000', message})
  })

  it.each([
    [2, {user: 'alice'}, 'supports only version 3.0 of the PostgreSQL messaging protocol.'],
    [0, {user: 'alice', replication: 'true'}, "currently doesn't support streaming replication mode."],
  ])('for protocol 3.%d with %j', async (minor, parameters, text) => {
    const packet = encodeStartup(minor, new Map(Object.entries(parameters)))
    const answer = await answerTo(rig, {endpoint: proxy, kind: 'rdsproxy'}, packet)
    expect(answer).toContain(`C0A000\0MFeature not supported: RDS Proxy ${text}\0`)
  })

  it('when too many come at once', async () => {
    rig.clock.hold()
    rig.sandbox.world.switches.signInsPerSecond = 1
    const visit = await visitAs('alice')
    await query(rig, visit, 'select 1')
    expect((await refusalOf(query(rig, visit, 'select 1'))).message).toBe(
      'The IAM authentication failed because of too many competing requests.',
    )
  })

  it('for a database that is not there, in the proxy’s words', async () => {
    expect(await refusalOf(query(rig, {...(await visitAs('alice')), database: 'nowhere'}, 'select 1'))).toEqual({
      code: '3D000',
      message: 'Request returned an error: database "nowhere" does not exist',
    })
  })
})

it('without TLS, a password is enough where TLS is not required', async () => {
  const app = {...(await visitAs('app', lax)), password: 'password_for_app', tls: false}
  await query(rig, app, 'select 1')
})
