import {readdir, readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {systemClock, type Clock} from '../../../src/lib/core/clock.js'
import {allow, home, region, trust} from '../sandbox/rig.js'
import {connect, rds, startAwsRig, type AwsRig} from './aws-rig.js'
import {greet, openSession, startup, until} from './rig.js'

/** Counts half a second at most between two looks at it: for the agent, who comes together comes together, however long this process is held up meanwhile. */
function runningClock(): Clock {
  let [read, counted] = [systemClock.monotonic(), 0]
  return {
    ...systemClock,
    monotonic: () => {
      const now = systemClock.monotonic()
      counted += Math.min(now - read, 500)
      read = now
      return counted
    },
  }
}

let rig: AwsRig
const clock = runningClock()
/** Where the agent's monotonic clock stands still, if it does. */
let moment: number | undefined

beforeAll(async () => {
  rig = await startAwsRig(
    {
      accounts: [
        {
          id: home,
          endpointId: 'abcdefghijklm',
          users: [
            {
              name: 'agent',
              inline: {
                rds: allow('rds-db:connect', [connect('db-ONE'), connect('cluster-AURORA'), connect('prx-ONE')]),
                sts: allow('sts:AssumeRole'),
              },
            },
          ],
          roles: [
            {name: 'db-access', trust: trust({AWS: home}), inline: {rds: allow('rds-db:connect', connect('db-TWO'))}},
          ],
          instances: [
            {id: 'postgres-1', region, resourceId: 'db-ONE'},
            {id: 'postgres-2', region, resourceId: 'db-TWO'},
            {id: 'old', region, certificate: 'legacy', resourceId: 'db-OLD'},
          ],
          clusters: [{id: 'aurora', region, resourceId: 'cluster-AURORA', customEndpoints: ['reports']}],
          proxies: [
            {
              name: 'pool',
              region,
              resourceId: 'prx-ONE',
              secrets: [
                {user: 'app', password: 'pencil'},
                {user: 'clerk', password: 'pencil', iam: 'DISABLED'},
              ],
              endpoints: [{name: 'readers', readOnly: true}],
            },
          ],
        },
      ],
      agent: {kind: 'access-key', account: home, user: 'agent', region},
    },
    [
      {name: 'instance', uri: `postgres-1.${rds}`},
      {name: 'primary', uri: `aurora.cluster-${rds}`},
      {name: 'reader', uri: `aurora.cluster-ro-${rds}`},
      {
        name: 'custom',
        uri: `reports.cluster-custom-${rds}`,
        tls: {server_name: `aurora.cluster-${rds.replace(':5432', '')}`},
        aws: {rds: {cluster_id: 'aurora'}},
      },
      {name: 'custom-unnamed', uri: `reports.cluster-custom-${rds}`, aws: {rds: {cluster_id: 'aurora'}}},
      {name: 'unnamed-ca', uri: `reports.cluster-custom-${rds}`, tls: {mode: 'verify-ca'}},
      {name: 'insecure', uri: `postgres-1.${rds}`, tls: {mode: 'insecure'}},
      {
        name: 'assumed',
        uri: `postgres-2.${rds}`,
        aws: {assume_role_arn: `arn:aws:iam::${home}:role/db-access`},
      },
      {name: 'not-assumed', uri: `postgres-2.${rds}`},
      {name: 'old', uri: `old.${rds}`},
      {name: 'pool', uri: `pool.proxy-${rds}`},
      {
        name: 'pool-readers',
        uri: `readers.endpoint.proxy-${rds}`,
        tls: {server_name: `pool.proxy-${rds.replace(':5432', '')}`},
      },
    ],
    {
      sql: [
        `create role alice login; grant rds_iam to alice; create role bob login password 'pencil';
        create role app login password 'pencil'; create role clerk login password 'pencil'`,
      ],
      agent: {clock: {...clock, monotonic: () => moment ?? clock.monotonic()}},
    },
  )
})

afterAll(async () => {
  await rig.stop()
})

describe('psql signs in with an IAM token', () => {
  it.each(['instance', 'primary', 'reader', 'custom', 'unnamed-ca', 'assumed'])('to %s', async (database) => {
    expect(await rig.psql({database, dbUser: 'alice'}, 'select current_user')).toBe('alice')
  })

  it.each(['pool', 'pool-readers'])('to %s, where queries cannot be cancelled', async (database) => {
    expect(await rig.psql({database, dbUser: 'app'}, 'select current_user')).toBe('app')
  })
})

describe('a refusal says what to do', () => {
  it.each<[string, {database: string; dbUser: string}, RegExp[]]>([
    [
      'a user outside rds_iam',
      {database: 'instance', dbUser: 'bob'},
      [/password authentication failed for user "bob"/, /GRANT rds_iam TO "bob";/],
    ],
    [
      'no permission',
      {database: 'not-assumed', dbUser: 'alice'},
      [/PAM authentication failed/, /rds-db:connect on arn:aws:rds-db:us-west-1:111111111111:dbuser:\*\/alice/],
    ],
    [
      'a custom endpoint without its name',
      {database: 'custom-unnamed', dbUser: 'alice'},
      [/is for other names/, /tls\.server_name/],
    ],
    [
      'a certificate without names',
      {database: 'old', dbUser: 'alice'},
      [/x509: certificate relies on legacy Common Name field, use SANs instead/, /Rotate/],
    ],
    ['a server that is not verified', {database: 'insecure', dbUser: 'alice'}, [/its TLS is not verified/]],
    [
      'a user without a secret',
      {database: 'pool', dbUser: 'alice'},
      [/no credentials for the role alice/, /Attach a Secrets Manager secret/],
    ],
    [
      'a secret without IAM',
      {database: 'pool', dbUser: 'clerk'},
      [/password that was provided for the role clerk/, /IAM authentication to "required"/],
    ],
  ])('about %s', async (_, where, expected) => {
    const said = await rig.refusal(where)
    for (const text of expected) expect(said).toMatch(text)
  })
})

describe('many sign-ins at once', () => {
  // The real server has a hundred places, some of them for superusers.
  const burst = Math.min(90, Math.ceil(30 * Number(process.env.POSTERN_TEST_SCALE ?? 1)))

  it('all succeed at an instance that takes ten a second and refuses the others as if their token were wrong', async () => {
    const {switches} = rig.sandbox.sandbox.world
    switches.signInsPerSecond = 10
    const credentials = await rig.agents.guest({
      route: {database: 'primary', protocol: 'postgres', dbUser: 'alice', dbName: 'postgres', dbRoles: []},
    })
    try {
      const sessions = await Promise.all(Array.from({length: burst}, () => openSession(rig.agents, credentials)))
      const ends = sessions.map(({opening}) => opening.at(-1))
      expect(ends.map((end) => (end?.type === 'Z' ? 'Z' : end?.payload.toString()))).toEqual(
        Array<string>(burst).fill('Z'),
      )
      for (const {socket} of sessions) socket.destroy()
    } finally {
      switches.signInsPerSecond = Infinity
    }
  })
})

it('a client that leaves while it waits for its turn signs in nowhere', async () => {
  const {switches} = rig.sandbox.sandbox.world
  const credentials = await rig.agents.guest({
    route: {database: 'reader', protocol: 'postgres', dbUser: 'alice', dbName: 'postgres', dbRoles: []},
  })
  const others = Array.from({length: 10}, () => openSession(rig.agents, credentials))
  // The instance refuses everybody, and no turn comes while time stands still.
  switches.signInsPerSecond = 0
  moment = clock.monotonic()
  try {
    const hasLeft = async (): Promise<boolean> => {
      const leaving = await rig.agents.dial(credentials)
      await greet(leaving)
      leaving.write(startup())
      leaving.end()
      await sleep(100)
      return rig.agents.plane.events.some((event) => JSON.stringify(event).includes('The client left before'))
    }
    // As often as it takes until so many have tried that the agent knows why they are refused.
    await until(hasLeft, 'the audit says that the client left')
  } finally {
    switches.signInsPerSecond = Infinity
    moment = undefined
  }
  for (const {socket} of await Promise.all(others)) socket.destroy()
})

it('no event and no spool holds a token', async () => {
  await rig.psql({database: 'assumed', dbUser: 'alice'}, "select 'audited'")
  const files = await readdir(rig.agents.directory, {recursive: true, withFileTypes: true})
  const contents = await Promise.all(
    files.filter((file) => file.isFile()).map((file) => readFile(join(file.parentPath, file.name), 'latin1')),
  )
  const everything = [...contents, JSON.stringify(rig.agents.plane.events)].join('\n')
  expect(everything).toContain('audited')
  expect(everything).not.toMatch(/X-Amz-|Signature/i)
  for (const {secretKey} of rig.sandbox.sandbox.world.sessions.values()) {
    expect(everything).not.toContain(secretKey.reveal())
  }
})
