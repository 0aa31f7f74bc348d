/** Every diagnosis is shown by breaking exactly that thing; docs/troubleshooting.md holds what the client was told. */
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {setTimeout as sleep} from 'node:timers/promises'
import type {AuditEvent} from '../../../src/lib/audit/event.js'
import {describeFinding, type ExaminedCheck} from '../../../src/lib/cli/database-examination.js'
import {requestExamination} from '../../../src/lib/localproxy/examination-request.js'
import type {Upstream} from '../../../src/lib/localproxy/upstream.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger, type Logger} from '../../../src/lib/core/log.js'
import type {Grants} from '../../../src/lib/sandbox/identities.js'
import type {Propagated} from '../../../src/lib/sandbox/propagated.js'
import {parsePolicy} from '../../../src/lib/sandbox/policy-document.js'
import {sessionPrincipal} from '../../../src/lib/sandbox/principal.js'
import {issueSession} from '../../../src/lib/sandbox/sessions.js'
import {effectiveTime} from '../../../src/lib/sandbox/world.js'
import {expectDocumented} from '../../helpers/troubleshooting.js'
import {abroad, allow, home, policy, region, trust} from '../sandbox/rig.js'
import {cluster} from './plane.js'
import {connect, rds, startAwsRig, type AwsRig, type Where} from './aws-rig.js'
import {role, until} from './rig.js'

const minute = 60_000
const roleArn = (name: string, account = home): string => `arn:aws:iam::${account}:role/${name}`
const looking = allow(['rds:Describe*', 'iam:Simulate*', 'iam:Get*', 'iam:List*'])
const reaching = allow('rds-db:connect')

const instance = (id: string, more: object = {}): {id: string; region: string; resourceId: string} => ({
  id,
  region,
  resourceId: `db-${id.toUpperCase()}`,
  ...more,
})

let rig: AwsRig
/** Where the agent's monotonic clock stands still, if it does. */
let moment: number | undefined
const logged: {message: string; fields: unknown}[] = []
const logger: Logger = {
  ...silentLogger,
  warn: (message, fields) => void logged.push({message, fields}),
  with: () => logger,
}

/** A role that the agent assumes for the database of the same name. */
const assumed = (name: string, more: object = {}): object => ({
  name,
  uri: `orders.${rds}`,
  aws: {assume_role_arn: roleArn(name), ...more},
})

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
                looking,
                connect: allow('rds-db:connect', [
                  connect('db-ORDERS'),
                  connect('db-IAM-OFF'),
                  connect('db-CLERKS', 'clerk'),
                  connect('prx-POOL'),
                  connect('db-EXPIRED'),
                ]),
                redshift: allow('redshift:GetClusterCredentials', [
                  `arn:aws:redshift:${region}:${home}:dbuser:warehouse/nobody`,
                  `arn:aws:redshift:${region}:${home}:dbname:warehouse/*`,
                ]),
                roles: allow(
                  'sts:AssumeRole',
                  ['trusting', 'mute', 'bounded', 'forbidden', 'external'].map((name) => roleArn(name)),
                ),
                trying: allow('sts:AssumeRole', [roleArn('untrusting'), roleArn('far', abroad)]),
              },
            },
          ],
          roles: [
            {name: 'trusting', trust: trust({AWS: home}), inline: {looking, reaching}},
            {name: 'untrusting', trust: trust({AWS: abroad}), inline: {looking, reaching}},
            {name: 'not-allowed', trust: trust({AWS: home}), inline: {looking, reaching}},
            {
              name: 'external',
              trust: trust({AWS: home}, {Condition: {StringEquals: {'sts:ExternalId': 'orders-1'}}}),
              inline: {reaching},
            },
            {name: 'mute', trust: trust({AWS: home}), inline: {}},
            {name: 'bounded', trust: trust({AWS: home}), inline: {looking, reaching}, boundary: 'only-looking'},
            {
              name: 'forbidden',
              trust: trust({AWS: home}),
              inline: {looking, reaching, no: policy({Effect: 'Deny', Action: 'rds-db:connect', Resource: '*'})},
            },
          ],
          policies: [
            {name: 'only-looking', document: looking},
            {name: 'fresh', document: allow('rds-db:connect', connect('db-CHANGED'))},
          ],
          instances: [
            instance('orders'),
            instance('iam-off', {iamAuthentication: false}),
            instance('no-policy'),
            instance('clerks'),
            instance('changed'),
            instance('inline-changed'),
            instance('old', {certificate: 'legacy'}),
            instance('expired', {certificate: 'expired'}),
            instance('renamed', {certificate: 'other-name'}),
            instance('strange', {certificate: 'untrusted'}),
          ],
          redshiftClusters: [{id: 'warehouse', region}],
          clusters: [{id: 'aurora', region, resourceId: 'cluster-AURORA'}],
          proxies: [
            {
              name: 'pool',
              region,
              resourceId: 'prx-POOL',
              secrets: [
                {user: 'app', password: 'pencil'},
                {user: 'clerk', password: 'pencil', iam: 'DISABLED'},
                {user: 'alice', password: 'pencil'},
                {user: 'stale', password: 'pen'},
              ],
            },
            {name: 'poor-pool', region, resourceId: 'prx-POOR', secrets: [{user: 'app', password: 'pencil'}]},
          ],
        },
        {id: abroad, roles: [{name: 'far', trust: trust({AWS: abroad})}]},
      ],
      agent: {kind: 'access-key', account: home, user: 'agent', region},
    },
    [
      {name: 'orders', uri: `orders.${rds}`},
      {name: 'watched', uri: `orders.${rds}`, admin: 'warden'},
      {name: 'iam-off', uri: `iam-off.${rds}`},
      {name: 'no-policy', uri: `no-policy.${rds}`},
      {name: 'clerks', uri: `clerks.${rds}`},
      {name: 'changed', uri: `changed.${rds}`},
      {name: 'inline-changed', uri: `inline-changed.${rds}`},
      {name: 'aurora', uri: `aurora.cluster-${rds}`},
      {name: 'aurora-by-name', uri: `aurora.cluster-${rds}`},
      {name: 'wrong-region', uri: `orders.${rds}`, aws: {region: 'eu-west-1'}},
      {name: 'slow-clock', uri: `orders.${rds}`},
      {name: 'fast-clock', uri: `orders.${rds}`},
      {name: 'revoked', uri: `orders.${rds}`},
      assumed('trusting'),
      assumed('untrusting'),
      assumed('not-allowed'),
      assumed('external'),
      {name: 'far', uri: `orders.${rds}`, aws: {assume_role_arn: roleArn('far', abroad)}},
      assumed('mute'),
      assumed('bounded'),
      assumed('forbidden'),
      {name: 'old', uri: `old.${rds}`},
      {name: 'expired', uri: `expired.${rds}`},
      {name: 'renamed', uri: `renamed.${rds}`},
      {name: 'strange', uri: `strange.${rds}`},
      {name: 'pool', uri: `pool.proxy-${rds}`},
      {name: 'poor-pool', uri: `poor-pool.proxy-${rds}`},
      {name: 'warehouse', uri: 'warehouse.abcdefghijklm.us-west-1.redshift.amazonaws.com:5439'},
      {name: 'ghost', uri: 'orders.invalid:5432', aws: {region}},
      {name: 'closed', uri: `closed.${rds}`},
    ] as Parameters<typeof startAwsRig>[1],
    {
      sql: [
        `create role alice login; grant rds_iam to alice; create role warden login; grant rds_iam to warden;
         create role bob login password 'pencil'; create role app login password 'pencil';
         create role clerk login password 'pencil'; create role stale login password 'pencil';
         create role sleeper; grant rds_iam to sleeper; create role sluggish login; grant rds_iam to sluggish`,
      ],
      agent: {
        logger,
        hostname: 'agent-1',
        clock: {...systemClock, monotonic: () => moment ?? systemClock.monotonic()},
      },
      resolve: {[`closed.${rds}`]: '127.0.0.1:1'},
    },
  )
})

afterAll(async () => {
  await rig.stop()
})

/** The DETAIL of what psql says. */
const causeOf = (text: string): string => text.replace(/[^]*\nDETAIL: +/, '')

/** What psql says, from the word FATAL on: message, DETAIL, HINT. Log and audit say the same. */
async function told(where: Where): Promise<string> {
  const said = await rig.refusal(where)
  const text = said.slice(said.indexOf('FATAL:')).trim()
  const [message = '', detail = '', hint = ''] = text.split(/\n(?:DETAIL|HINT):\s+/).map((line) => line.trim())
  expect({text, detail, hint}).toMatchObject({detail: expect.stringMatching(/\.$/), hint: expect.stringMatching(/./)})
  const plain = message.replace(/^FATAL:\s+/, '')
  await until(
    () =>
      rig.agents.plane.events.some(
        (event) => event.code === 'TDB00W' && event.message === [plain, detail, hint].join(' '),
      ),
    `the audit has cause and fix of ${plain}`,
  )
  expect(logged).toContainEqual({
    message: 'A session could not be opened.',
    fields: expect.objectContaining({reason: plain, cause: detail, fix: hint}),
  })
  return text
}

/**
 * What is told of this cause. A client waits four seconds for AWS: a machine that stood still for longer has not looked, and
 * looks again when it has forgotten that.
 */
async function toldOf(where: Where, cause: RegExp): Promise<string> {
  let text = await told(where)
  for (let again = 0; again < 3 && !cause.test(causeOf(text)); again += 1) {
    await sleep(16_000)
    text = await told(where)
  }
  expect(causeOf(text)).toMatch(cause)
  return text
}

/** Expects the refusal to have this cause, and the page to show it as the program told it. */
async function expectDiagnosis(problem: string, where: Where, cause: RegExp): Promise<string> {
  const text = await toldOf(where, cause)
  await expectDocumented(problem, text)
  return text
}

const alice = (database: string): Where => ({database, dbUser: 'alice'})

/** A user of IAM, whose policies a test may change. */
function grantsOf(user: string): Propagated<Grants> {
  const {grants} = rig.sandbox.sandbox.world.accounts.get(home)?.users.get(user) ?? {}
  if (!grants) throw new Error(`no user ${user}`)
  return grants
}

it('what is not broken works', async () => {
  for (const database of ['orders', 'trusting']) {
    expect(await rig.psql(alice(database), 'select current_user')).toBe('alice')
  }
  expect(await rig.psql({database: 'pool', dbUser: 'app'}, 'select current_user')).toBe('app')
})

describe('E04: a database that says no', () => {
  it('because IAM authentication is off', async () => {
    await expectDiagnosis(
      'iam-authentication-off',
      alice('iam-off'),
      /^IAM authentication is off for the instance "iam-off"/,
    )
  })

  it('because no policy allows the sign-in', async () => {
    await expectDiagnosis(
      'policy-missing',
      alice('no-policy'),
      /^No policy of arn:aws:iam::111111111111:user\/agent allows rds-db:connect on arn:aws:rds-db:us-west-1:111111111111:dbuser:db-NO-POLICY\/alice/,
    )
    await toldOf(alice('clerks'), /it is for another database user/)
  })

  it('because the policy has the id of an instance instead of the cluster’s, or a name', async () => {
    const {world} = rig.sandbox.sandbox
    const member = world.accounts.get(home)?.instances.find(({clusterId}) => clusterId === 'aurora')?.resourceId ?? ''
    const grants = grantsOf('agent')
    const {latest} = grants
    const instead = (id: string): void => {
      const document = parsePolicy(JSON.stringify(allow('rds-db:connect', connect(id, 'alice'))))
      grants.set({...latest, inline: new Map([...latest.inline, ['instead', document]])}, world.now())
    }
    instead(member)
    await expectDiagnosis(
      'wrong-resource-id',
      alice('aurora'),
      /dbuser:db-\w+\/alice, but this sign-in is on \S+dbuser:cluster-AURORA\/alice: it has the resource id of an instance/,
    )
    instead('aurora')
    await toldOf(alice('aurora-by-name'), /it has a name where the resource id belongs/)
    grants.set(latest, world.now())
  })

  it('because aws.region is another one', async () => {
    await expectDiagnosis(
      'wrong-region',
      alice('wrong-region'),
      /^The database has aws.region "eu-west-1", but its endpoint \S+ is in us-west-1/,
    )
  })

  it('because a policy was changed a moment ago', async () => {
    const {world} = rig.sandbox.sandbox
    const grants = grantsOf('agent')
    world.switches.propagationDelay = 10 * minute
    try {
      const {latest} = grants
      const document = parsePolicy(JSON.stringify(allow('rds-db:connect', connect('db-INLINE-CHANGED'))))
      const attached = [`arn:aws:iam::${home}:policy/fresh`]
      grants.set({...latest, inline: new Map([...latest.inline, ['new', document]]), attached}, effectiveTime(world))
      await expectDiagnosis(
        'policy-changed',
        alice('changed'),
        /^The policy "fresh" of \S+, which allows rds-db:connect on \S+db-CHANGED\/alice, was changed at \S+, but is not in effect yet/,
      )
      await toldOf(alice('inline-changed'), /but is not in effect yet/)
    } finally {
      world.switches.propagationDelay = 0
    }
  })

  it.each([
    ['slow-clock', 20, '20 minutes behind'],
    ['fast-clock', -10, '10 minutes ahead of'],
  ])('because of the clock: %s', async (database, minutes, words) => {
    const {switches} = rig.sandbox.sandbox.world
    switches.clockSkew = minutes * minute
    try {
      const text = await toldOf(alice(database), new RegExp(words))
      expect(text).toContain(`The clock of the agent’s host is ${words} AWS’.`)
      if (minutes < 0) await expectDocumented('clock-skew', text)
    } finally {
      switches.clockSkew = 0
    }
  })

  it('because the access key is gone', async () => {
    const keys = rig.sandbox.sandbox.world.accounts.get(home)?.users.get('agent')?.accessKeys
    const [key] = keys ?? []
    if (!keys || !key) throw new Error('no key')
    keys.delete(key[0])
    try {
      await expectDiagnosis(
        'unknown-credentials',
        alice('revoked'),
        /^AWS does not take the access key of the agent: InvalidClientTokenId/,
      )
    } finally {
      keys.set(...key)
    }
  })

  it('because of a permissions boundary', async () => {
    await expectDiagnosis(
      'boundary',
      alice('bounded'),
      /^The permissions boundary "only-looking" of arn:aws:iam::111111111111:role\/bounded does not allow rds-db:connect/,
    )
  })

  it('because a policy denies it', async () => {
    await expectDiagnosis(
      'explicit-deny',
      alice('forbidden'),
      /of arn:aws:iam::111111111111:role\/forbidden denies rds-db:connect/,
    )
  })

  it('and the agent may look at nothing: it says so', async () => {
    const text = await toldOf(alice('mute'), /Probably \S+role\/mute may not rds-db:connect on \S+dbuser:\*\/alice\./)
    expect(text).toMatch(/it is not allowed rds:DescribeDBInstances/)
  })
})

describe('a database user', () => {
  it('that is no member of rds_iam, or does not exist, is one diagnosis', async () => {
    await expectDiagnosis(
      'user-or-membership',
      {database: 'orders', dbUser: 'bob'},
      /^The database user "bob" does not exist, or is not a member of rds_iam/,
    )
    await toldOf({database: 'orders', dbUser: 'nobody'}, /"nobody" does not exist, or is not a member/)
  })

  it('is told apart where an admin user is configured', async () => {
    await expectDiagnosis(
      'no-membership',
      {database: 'watched', dbUser: 'bob'},
      /^The database user "bob" is not a member of rds_iam/,
    )
    await expectDiagnosis(
      'no-such-user',
      {database: 'watched', dbUser: 'nobody'},
      /^There is no user "nobody" in the database/,
    )
  })

  it('that may not log in', async () => {
    await expectDiagnosis(
      'no-login',
      {database: 'orders', dbUser: 'sleeper'},
      /^The database user "sleeper" may not log in/,
    )
  })
})

describe('E07: an IAM role', () => {
  it('that does not trust the agent', async () => {
    const text = await expectDiagnosis(
      'role-trust',
      alice('untrusting'),
      /^The trust policy of arn:aws:iam::111111111111:role\/untrusting does not name arn:aws:iam::111111111111:user\/agent/,
    )
    expect(text).toContain(
      'AccessDenied: User: arn:aws:iam::111111111111:user/agent is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111111111111:role/untrusting',
    )
  })

  it('of another account that does not trust the agent', async () => {
    await toldOf(
      alice('far'),
      /allow sts:AssumeRole on arn:aws:iam::222222222222:role\/far, so its trust policy does not name/,
    )
  })

  it('that the agent is not allowed to assume', async () => {
    await expectDiagnosis(
      'role-permission',
      alice('not-allowed'),
      /^No policy of arn:aws:iam::111111111111:user\/agent allows sts:AssumeRole on arn:aws:iam::111111111111:role\/not-allowed/,
    )
  })

  it('that asks for an external id', async () => {
    await expectDiagnosis('external-id', alice('external'), /asks for an external id, and the database has none/)
  })
})

describe('the credentials of the agent', () => {
  it.each<[string, Readonly<Record<string, string>>, RegExp]>([
    ['no-credentials', {AWS_EC2_METADATA_DISABLED: 'true'}, /^None of the places where the host of the agent may keep/],
    ['expired-credentials', {}, /^The AWS credentials of the agent have expired/],
  ])('%s', async (problem, more, cause) => {
    const {world, environment} = rig.sandbox.sandbox
    const identity = world.accounts.get(home)?.roles.get('trusting')
    if (!identity) throw new Error('no role')
    const others = Object.fromEntries(
      Object.entries(environment).filter(([name]) => !name.startsWith('AWS_ACCESS') && !name.startsWith('AWS_SECRET')),
    )
    const session = issueSession(world, sessionPrincipal(identity, {sessionName: 'agent'}), -1)
    const expired = {
      AWS_ACCESS_KEY_ID: session.accessKeyId,
      AWS_SECRET_ACCESS_KEY: session.secretKey.reveal(),
      AWS_SESSION_TOKEN: session.token.reveal(),
    }
    const files = {AWS_SHARED_CREDENTIALS_FILE: '/nowhere/credentials', AWS_CONFIG_FILE: '/nowhere/config'}
    const other = await rig.another({...others, ...files, ...(problem === 'expired-credentials' && expired), ...more})
    try {
      const said = await other.refusal(alice('orders'))
      const text = said.slice(said.indexOf('FATAL:')).trim()
      expect(causeOf(text)).toMatch(cause)
      if (problem === 'no-credentials') expect(text).toContain('NoCredentialProviders: no valid providers in chain')
      await expectDocumented(problem, text)
    } finally {
      await other.stop()
    }
  })
})

describe('Redshift', () => {
  it('without a policy', async () => {
    await expectDiagnosis(
      'redshift-policy-missing',
      {database: 'warehouse', dbUser: 'alice', dbName: 'dev'},
      /^No policy of arn:aws:iam::111111111111:user\/agent allows redshift:GetClusterCredentials on \S+dbuser:warehouse\/alice/,
    )
  })

  it('without the user', async () => {
    await expectDiagnosis(
      'redshift-no-such-user',
      {database: 'warehouse', dbUser: 'nobody', dbName: 'dev'},
      /^There is no user "nobody" in the Redshift database/,
    )
  })
})

describe('E08: RDS Proxy', () => {
  it('without a secret for the user', async () => {
    await expectDiagnosis(
      'no-secret',
      {database: 'pool', dbUser: 'bob'},
      /^The RDS Proxy has no secret for the user "bob"/,
    )
  })

  it('with a secret without IAM', async () => {
    await expectDiagnosis(
      'secret-without-iam',
      {database: 'pool', dbUser: 'clerk'},
      /IAM authentication is disabled for it/,
    )
  })

  it('with a wrong password in the secret, or a user that the database takes no password from', async () => {
    await expectDiagnosis('secret-password', {database: 'pool', dbUser: 'stale'}, /holds another password/)
    await toldOf(alice('pool'), /is a member of rds_iam/)
  })

  it('without a policy', async () => {
    await toldOf(
      {database: 'poor-pool', dbUser: 'app'},
      /No policy of \S+ allows rds-db:connect on \S+dbuser:prx-POOR\/app/,
    )
  })
})

describe('E10: the way to the database', () => {
  it.each([
    ['name-not-found', 'ghost', /^The DNS of the agent’s host has no address for the name \(/],
    ['refused', 'closed', /nothing listens on the port/],
    ['certificate-without-names', 'old', /Common Name only/],
    ['certificate-expired', 'expired', /is past its end/],
    ['certificate-for-other-names', 'renamed', /other-renamed/],
    ['certificate-not-trusted', 'strange', /Its issuer is none of the authorities/],
  ])('%s', async (problem, database, cause) => {
    await expectDiagnosis(problem, alice(database), cause)
  })
})

/** What the agent reports when it is asked to look. */
async function examine({database, dbUser, dbName = 'postgres'}: Where): Promise<ExaminedCheck[]> {
  const {agents} = rig
  const credentials = await agents.guest({route: {database, protocol: 'postgres', dbUser, dbName, dbRoles: []}})
  const upstream: Upstream = {
    proxy: agents.proxy.address,
    cluster,
    hostAuthorities: [agents.plane.host.certificate],
    credentials,
    agents: [agents.agent.hostId],
  }
  const source = {current: () => Promise.resolve(upstream), refreshed: () => Promise.resolve(upstream)}
  for (;;) {
    const {agent, findings} = await requestExamination(source, {dbUser, dbName})
    expect(agent).toBe('agent-1')
    const checks = findings.map(describeFinding)
    // AWS has a few seconds: a machine that stood still for longer looks again.
    if (!JSON.stringify(checks).includes('did not answer in time')) return checks
    await sleep(2500)
  }
}

const resultsOf = (checks: readonly ExaminedCheck[]): unknown =>
  Object.fromEntries(checks.map(({check, result}) => [check, result]))

describe('an examination', () => {
  const good = {
    access: 'pass',
    region: 'pass',
    credentials: 'pass',
    clock: 'pass',
    database: 'pass',
    'iam-authentication': 'pass',
    permission: 'pass',
    password: 'pass',
    address: 'pass',
    connection: 'pass',
    certificate: 'pass',
    'sign-in': 'pass',
  }

  it('passes where nothing is wrong, and the audit has a session that begins and ends', async () => {
    expect(resultsOf(await examine(alice('orders')))).toEqual(good)
    const isExamined = (event: AuditEvent): boolean => event.user_agent === 'postern db doctor'
    await until(() => rig.agents.plane.events.some(isExamined), 'the examination is audited')
    const {sid} = rig.agents.plane.events.find(isExamined) ?? {}
    await until(
      () => rig.agents.plane.events.some((event) => event.sid === sid && event.event === 'db.session.end'),
      'the session of the examination ends',
    )
  })

  it('says what failed, what follows from it, and the fix', async () => {
    const checks = await examine(alice('iam-off'))
    expect(resultsOf(checks)).toEqual({...good, 'iam-authentication': 'fail', 'sign-in': 'fail'})
    expect(checks.find(({check}) => check === 'iam-authentication')).toMatchObject({
      problem: 'iam-authentication-off',
      fix: expect.stringContaining('aws rds modify-db-instance --db-instance-identifier iam-off'),
    })
    expect(checks.at(-1)?.fix).toBe('See "iam-authentication" above.')
  })

  it('skips what the agent may not look at, with the reason', async () => {
    const checks = await examine(alice('mute'))
    expect(checks.find(({check}) => check === 'database')).toMatchObject({
      result: 'skipped',
      reason: 'AWS does not let the agent describe the database: it is not allowed rds:DescribeDBInstances.',
    })
    expect(checks.find(({check}) => check === 'permission')).toMatchObject({
      result: 'skipped',
      reason: 'IAM cannot be asked: the agent is not allowed iam:SimulatePrincipalPolicy.',
    })
  })

  it('ends at a role that cannot be assumed, at an address that leads nowhere, at a certificate', async () => {
    const untrusting = resultsOf(await examine(alice('untrusting')))
    expect(untrusting).toMatchObject({credentials: 'fail', password: 'fail', 'sign-in': 'skipped'})
    const closed = resultsOf(await examine(alice('closed')))
    expect(closed).toMatchObject({address: 'pass', connection: 'fail', certificate: 'skipped', 'sign-in': 'skipped'})
    const strange = resultsOf(await examine(alice('strange')))
    expect(strange).toMatchObject({connection: 'pass', certificate: 'fail', 'sign-in': 'skipped'})
  })

  it('is for those whose roles allow the database', async () => {
    const access = role('access', {db_labels: {'*': ['*']}, db_users: ['*'], db_names: ['*']})
    const put = (item: typeof access): void => {
      rig.agents.plane.put({kind: 'role', name: 'access', item})
    }
    put(role('access', {db_labels: {'*': ['*']}, db_users: ['clerk'], db_names: ['*']}))
    try {
      await until(async () => {
        const checks = await examine(alice('orders'))
        return checks.length === 1 && checks[0]?.problem === 'access-denied'
      }, 'the agent hears of the change')
    } finally {
      put(access)
    }
    await until(async () => (await examine(alice('orders'))).length > 1, 'the agent hears that it is undone')
  })
})

it('AWS that does not answer holds up no refusal, which says so', async () => {
  const {switches} = rig.sandbox.sandbox.world
  switches.answerDelay = 10 * minute
  try {
    const text = await told({database: 'no-policy', dbUser: 'sluggish'})
    expect(text).toContain('Probably the agent may not rds-db:connect')
  } finally {
    switches.answerDelay = 0
  }
})

it('a client that fails in a loop costs AWS one look', async () => {
  const looks = (): number => rig.sandbox.answered('SimulatePrincipalPolicy')
  const fail = async (milliseconds: number): Promise<void> => {
    moment = (moment ?? systemClock.monotonic()) + milliseconds
    await told({database: 'no-policy', dbUser: 'warden'})
  }
  try {
    const before = looks()
    // A machine that stood still for longer than a client waits looks again when it has forgotten that.
    while (looks() === before) await fail(16_000)
    const first = looks()
    for (let turn = 0; turn < 5; turn += 1) await fail(1000)
    expect(looks()).toBe(first)
  } finally {
    moment = undefined
  }
})
