import {
  AssumeRoleCommand,
  AssumeRoleWithWebIdentityCommand,
  GetCallerIdentityCommand,
  STSClient,
  type AssumeRoleCommandInput,
} from '@aws-sdk/client-sts'
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals'
import {issueWebIdentity} from '../../../src/lib/sandbox/web-identity.js'
import {presign} from './presign.js'
import {abroad, allow, failureOf, home, policy, startRig, trust, type Credentials, type Rig} from './rig.js'

const agentArn = `arn:aws:iam::${home}:role/agent`
const roleArn = (name: string, account = home): string => `arn:aws:iam::${account}:role/${name}`
const issuer = 'oidc.sandbox.postern.dev'

let rig: Rig
/** Credentials of a session of the role `agent`. */
let agent: Credentials

const send = (credentials: Credentials, input: Partial<AssumeRoleCommandInput>) =>
  new STSClient(rig.client(credentials)).send(new AssumeRoleCommand({RoleArn: '', RoleSessionName: 'i-1', ...input}))

async function assume(
  from: Credentials,
  name: string,
  more: Partial<AssumeRoleCommandInput> = {},
  account = home,
): Promise<Credentials> {
  const {Credentials: given} = await send(from, {RoleArn: roleArn(name, account), ...more})
  return {
    accessKeyId: given?.AccessKeyId ?? '',
    secretAccessKey: given?.SecretAccessKey ?? '',
    sessionToken: given?.SessionToken ?? '',
  }
}

const whoIs = async (credentials: Credentials): Promise<string | undefined> =>
  (await new STSClient(rig.client(credentials)).send(new GetCallerIdentityCommand({}))).Arn

beforeAll(async () => {
  const agentTrust = trust({AWS: agentArn})
  const accountTrust = trust({AWS: `arn:aws:iam::${home}:root`})
  const assumeAny = allow(['sts:AssumeRole', 'sts:TagSession'])
  const withId = {Condition: {StringEquals: {'sts:ExternalId': 'example-external-id'}}}
  rig = await startRig({
    accounts: [
      {
        id: home,
        users: [
          {name: 'operator', path: '/people/', inline: {all: allow('*')}},
          {name: 'nobody'},
          {name: 'bounded', inline: {all: allow('*')}, boundary: 'only-rds'},
        ],
        policies: [
          {name: 'only-rds', document: allow('rds:*')},
          {name: 'no-sts', document: policy({Effect: 'Deny', Action: 'sts:*', Resource: '*'})},
        ],
        roles: [
          {name: 'agent', trust: accountTrust},
          {name: 'trusts-agent', trust: agentTrust, maxSessionSeconds: 43_200},
          {name: 'trusts-account', trust: accountTrust},
          {name: 'trusts-nobody', trust: trust({Service: 'ec2.amazonaws.com'})},
          {name: 'bounded-agent', trust: accountTrust, inline: {all: assumeAny}, boundary: 'only-rds'},
          {name: 'denied-agent', trust: accountTrust, inline: {all: assumeAny}, attached: ['no-sts']},
          {name: 'roaming-agent', trust: accountTrust, inline: {all: assumeAny}},
          {
            name: 'trusts-session',
            trust: trust({AWS: `arn:aws:sts::${home}:assumed-role/bounded-agent/i-1`}),
          },
          {
            name: 'trusts-all-agents',
            trust: trust({AWS: ['bounded-agent', 'denied-agent', 'roaming-agent'].map((name) => roleArn(name))}),
          },
          {
            name: 'tagged',
            trust: policy(
              {Effect: 'Allow', Principal: {AWS: agentArn}, Action: 'sts:AssumeRole'},
              {
                Effect: 'Allow',
                Principal: {AWS: agentArn},
                Action: 'sts:TagSession',
                Condition: {StringEquals: {'aws:RequestTag/team': 'db'}},
              },
            ),
          },
          {
            name: 'irsa',
            path: '/pods/',
            trust: policy({
              Effect: 'Allow',
              Principal: {Federated: `arn:aws:iam::${home}:oidc-provider/${issuer}`},
              Action: 'sts:AssumeRoleWithWebIdentity',
              Condition: {StringEquals: {[`${issuer}:sub`]: 'system:serviceaccount:db:agent'}},
            }),
          },
        ],
      },
      {
        id: abroad,
        roles: [
          {name: 'needs-id', trust: trust({AWS: roleArn('roaming-agent')}, withId)},
          {name: 'trusts-roaming', trust: trust({AWS: roleArn('roaming-agent')})},
          {name: 'trusts-agent', trust: agentTrust},
        ],
      },
    ],
  })
  agent = await assume(rig.keyOf('operator'), 'agent')
})

afterAll(() => rig.close())

afterEach(() => {
  Object.assign(rig.sandbox.world.switches, {
    clockSkew: 0,
    answerDelay: 0,
    requestsPerSecond: Infinity,
    propagationDelay: 0,
  })
  rig.sandbox.world.switches.outages.clear()
  rig.clock.ahead = 0
  rig.clock.letGo()
})

describe('who I am', () => {
  it('is answered for a user and for a role session', async () => {
    const sts = new STSClient(rig.client(rig.keyOf('operator')))
    const {Arn, Account, UserId} = await sts.send(new GetCallerIdentityCommand({}))
    expect({Arn, Account}).toEqual({Arn: `arn:aws:iam::${home}:user/people/operator`, Account: home})
    expect(UserId).toMatch(/^AIDA[A-Z2-7]{16}$/)
    expect(await whoIs(agent)).toBe(`arn:aws:sts::${home}:assumed-role/agent/i-1`)
  })

  it('needs no permission', async () => {
    expect(await whoIs(rig.keyOf('nobody'))).toBe(`arn:aws:iam::${home}:user/nobody`)
  })
})

describe('a request is refused', () => {
  it('with an unknown key', async () => {
    const stranger = {...rig.keyOf('nobody'), accessKeyId: 'AKIAIOSFODNN7EXAMPLE'}
    expect(await failureOf(whoIs(stranger))).toMatchObject({
      name: 'InvalidClientTokenId',
      status: 403,
      message: 'The security token included in the request is invalid.',
    })
  })

  it('with the wrong secret', async () => {
    const forged = {...rig.keyOf('nobody'), secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'}
    expect(await failureOf(whoIs(forged))).toMatchObject({name: 'SignatureDoesNotMatch', status: 403})
  })

  it('with the token of another session', async () => {
    const other = await assume(rig.keyOf('operator'), 'trusts-account')
    const mixed = {...agent, sessionToken: other.sessionToken ?? ''}
    expect(await failureOf(whoIs(mixed))).toMatchObject({name: 'InvalidClientTokenId'})
  })

  it('with a permanent key and a session’s token', async () => {
    const mixed = {...rig.keyOf('nobody'), sessionToken: agent.sessionToken ?? ''}
    expect(await failureOf(whoIs(mixed))).toMatchObject({name: 'InvalidClientTokenId'})
  })

  it('with credentials that have expired', async () => {
    const session = await assume(rig.keyOf('operator'), 'trusts-account', {DurationSeconds: 900})
    const later = new STSClient({...rig.client(session), systemClockOffset: 901_000})
    rig.clock.ahead = 901_000
    expect(await failureOf(later.send(new GetCallerIdentityCommand({})))).toMatchObject({
      name: 'ExpiredToken',
      status: 403,
    })
  })

  it.each([
    [10 * 60_000, 'Signature expired: '],
    [-10 * 60_000, 'Signature not yet current: '],
  ])('when the clocks are %d ms apart, and the SDK then learns the time', async (clockSkew, text) => {
    rig.sandbox.world.switches.clockSkew = clockSkew
    const sts = new STSClient(rig.client(rig.keyOf('nobody')))
    const failure = await failureOf(sts.send(new GetCallerIdentityCommand({})))
    expect(failure).toMatchObject({name: 'SignatureDoesNotMatch'})
    expect(failure.message).toContain(text)
    expect((await sts.send(new GetCallerIdentityCommand({}))).Account).toBe(home)
  })

  it('when there are too many', async () => {
    rig.clock.hold()
    rig.sandbox.world.switches.requestsPerSecond = 3
    const answers = await Promise.allSettled(Array.from({length: 10}, () => whoIs(rig.keyOf('nobody'))))
    expect(answers.filter(({status}) => status === 'fulfilled')).toHaveLength(3)
    const reasons = answers.flatMap((answer) => (answer.status === 'rejected' ? [(answer.reason as Error).name] : []))
    expect(new Set(reasons)).toEqual(new Set(['Throttling']))
  })

  it('during an outage', async () => {
    rig.sandbox.world.switches.outages.add('sts')
    expect(await failureOf(whoIs(rig.keyOf('nobody')))).toMatchObject({name: 'ServiceUnavailable', status: 503})
  })

  it('while answers take longer than the client waits', async () => {
    rig.sandbox.world.switches.answerDelay = 60_000
    const requestHandler = {requestTimeout: 200, throwOnRequestTimeout: true}
    const sts = new STSClient({...rig.client(rig.keyOf('nobody')), requestHandler})
    expect(await failureOf(sts.send(new GetCallerIdentityCommand({})))).toMatchObject({name: 'TimeoutError'})
  })

  it('presigned, when its time is over', async () => {
    const query = presign({
      query: 'Action=GetCallerIdentity&Version=2011-06-15',
      host: new URL(rig.sandbox.environment.AWS_ENDPOINT_URL ?? '').host,
      service: 'sts',
      credentials: rig.keyOf('nobody'),
      expiresIn: 60,
    })
    const ask = () => fetch(`${rig.sandbox.environment.AWS_ENDPOINT_URL ?? ''}/?${query}`)
    expect(await (await ask()).text()).toContain(`<Arn>arn:aws:iam::${home}:user/nobody</Arn>`)
    rig.clock.ahead = 61_000
    const answer = await ask()
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('<Code>RequestExpired</Code>')])
  })

  it('without a signature', async () => {
    const url = `${rig.sandbox.environment.AWS_ENDPOINT_URL ?? ''}/?Action=GetCallerIdentity&Version=2011-06-15`
    const answer = await fetch(url)
    expect(answer.status).toBe(403)
    expect(await answer.text()).toContain('<Code>MissingAuthenticationToken</Code>')
  })
})

describe('a role in the same account', () => {
  it('that names the caller needs nothing of the caller’s own policies', async () => {
    const session = await assume(agent, 'trusts-agent')
    expect(await whoIs(session)).toBe(`arn:aws:sts::${home}:assumed-role/trusts-agent/i-1`)
  })

  it.each(['trusts-account', 'trusts-nobody', 'no-such-role'])('is refused in the guides’ words: %s', async (name) => {
    expect(await failureOf(assume(agent, name))).toEqual({
      name: 'AccessDenied',
      status: 403,
      message: `User: arn:aws:sts::${home}:assumed-role/agent/i-1 is not authorized to perform: sts:AssumeRole on resource: ${roleArn(name)}`,
    })
  })

  it('is not enough when only the caller’s policies allow it', async () => {
    const operator = rig.keyOf('operator')
    expect(await failureOf(assume(operator, 'trusts-nobody'))).toMatchObject({name: 'AccessDenied'})
  })

  it('is held back by a boundary and by a deny, whatever the trust policy says', async () => {
    const operator = rig.keyOf('operator')
    for (const name of ['bounded-agent', 'denied-agent']) {
      const held = await assume(operator, name)
      expect(await failureOf(assume(held, 'trusts-all-agents'))).toMatchObject({name: 'AccessDenied'})
    }
    await assume(await assume(operator, 'roaming-agent'), 'trusts-all-agents')
  })

  it('that names the very session is not held back by what a boundary leaves out', async () => {
    const operator = rig.keyOf('operator')
    await assume(await assume(operator, 'bounded-agent'), 'trusts-session')
    const other = await assume(operator, 'bounded-agent', {RoleSessionName: 'i-2'})
    expect(await failureOf(assume(other, 'trusts-session'))).toMatchObject({name: 'AccessDenied'})
  })

  it('is held back by a session policy', async () => {
    const Policy = JSON.stringify(allow('rds:*'))
    const narrowed = await assume(rig.keyOf('operator'), 'roaming-agent', {Policy})
    expect(await failureOf(assume(narrowed, 'trusts-all-agents'))).toMatchObject({name: 'AccessDenied'})
  })

  it('is held back by a user’s boundary', async () => {
    expect(await failureOf(assume(rig.keyOf('bounded'), 'trusts-account'))).toMatchObject({name: 'AccessDenied'})
  })
})

describe('a role in another account', () => {
  it('needs the trust policy and the caller’s own', async () => {
    const roaming = await assume(rig.keyOf('operator'), 'roaming-agent')
    await assume(roaming, 'trusts-roaming', {}, abroad)
    expect(await failureOf(assume(agent, 'trusts-agent', {}, abroad))).toMatchObject({name: 'AccessDenied'})
  })

  it('with an external id is refused without it, and with another', async () => {
    const roaming = await assume(rig.keyOf('operator'), 'roaming-agent')
    const to = (more: Partial<AssumeRoleCommandInput>) => assume(roaming, 'needs-id', more, abroad)
    expect(await failureOf(to({}))).toMatchObject({name: 'AccessDenied'})
    expect(await failureOf(to({ExternalId: 'other'}))).toMatchObject({name: 'AccessDenied'})
    expect(await whoIs(await to({ExternalId: 'example-external-id'}))).toContain(`:${abroad}:assumed-role/needs-id/`)
  })
})

describe('session tags', () => {
  it('need sts:TagSession, under its conditions', async () => {
    const Tags = [{Key: 'team', Value: 'db'}]
    await assume(agent, 'tagged', {Tags})
    expect((await failureOf(assume(agent, 'tagged', {Tags: [{Key: 'team', Value: 'web'}]}))).message).toContain(
      'sts:TagSession',
    )
    expect((await failureOf(assume(agent, 'trusts-agent', {Tags}))).message).not.toContain('sts:AssumeRole on')
  })
})

describe('the length of a session', () => {
  it.each([
    ['is at least 15 minutes', {DurationSeconds: 899}, 'between 900 and 43200'],
    ['is at most the role’s', {DurationSeconds: 3601}, 'MaxSessionDuration'],
  ])('%s', async (_, more, text) => {
    const failure = await failureOf(assume(rig.keyOf('operator'), 'trusts-account', more))
    expect(failure).toMatchObject({name: 'ValidationError', status: 400})
    expect(failure.message).toContain(text)
  })

  it('is at most an hour for a role that a role assumes', async () => {
    const failure = await failureOf(assume(agent, 'trusts-agent', {DurationSeconds: 3601}))
    expect(failure.message).toContain('role chaining')
  })

  it('is what was asked for', async () => {
    const {Credentials: given} = await send(rig.keyOf('operator'), {
      RoleArn: roleArn('trusts-account'),
      DurationSeconds: 1200,
    })
    const seconds = ((given?.Expiration?.getTime() ?? 0) - Date.now()) / 1000
    expect(seconds).toBeGreaterThan(1100)
    expect(seconds).toBeLessThanOrEqual(1200)
  })
})

it('the name of a session has a form', async () => {
  const failure = await failureOf(assume(agent, 'trusts-agent', {RoleSessionName: 'a b'}))
  expect(failure).toMatchObject({name: 'ValidationError'})
})

it('a change of a trust policy takes effect after the propagation delay', async () => {
  const role = rig.sandbox.world.accounts.get(home)?.roles.get('trusts-agent')
  const nobody = rig.sandbox.world.accounts.get(home)?.roles.get('trusts-nobody')
  if (!role || !nobody) throw new Error('no role')
  const before = role.trust.latest
  role.trust.set(nobody.trust.latest, rig.sandbox.world.now() + 60_000)
  await assume(agent, 'trusts-agent')
  rig.sandbox.world.switches.clockSkew = 61_000
  expect(await failureOf(assume(agent, 'trusts-agent'))).toMatchObject({name: 'AccessDenied'})
  role.trust.set(before, 0)
})

describe('a web identity', () => {
  const assumeWith = (WebIdentityToken: string) => {
    const sts = new STSClient({...rig.client(agent), credentials: undefined} as ConstructorParameters<
      typeof STSClient
    >[0] &
      object)
    return sts.send(
      new AssumeRoleWithWebIdentityCommand({RoleArn: roleArn('pods/irsa'), RoleSessionName: 'pod', WebIdentityToken}),
    )
  }

  it('becomes the role that trusts its subject', async () => {
    const token = issueWebIdentity('system:serviceaccount:db:agent', Date.now())
    const {AssumedRoleUser, SubjectFromWebIdentityToken} = await assumeWith(token.reveal())
    expect(AssumedRoleUser?.Arn).toBe(`arn:aws:sts::${home}:assumed-role/irsa/pod`)
    expect(SubjectFromWebIdentityToken).toBe('system:serviceaccount:db:agent')
  })

  it.each([
    [
      'of another subject',
      () => issueWebIdentity('system:serviceaccount:web:shop', Date.now()).reveal(),
      'AccessDenied',
    ],
    [
      'that is forged',
      () => `${issueWebIdentity('a', Date.now()).reveal().slice(0, -8)}AAAAAAAA`,
      'InvalidIdentityTokenException',
    ],
    [
      'that is old',
      () => issueWebIdentity('system:serviceaccount:db:agent', Date.now() - 90_000_000).reveal(),
      'ExpiredTokenException',
    ],
  ])('%s is refused', async (_, token, name) => {
    expect(await failureOf(assumeWith(token()))).toMatchObject({name})
  })
})
