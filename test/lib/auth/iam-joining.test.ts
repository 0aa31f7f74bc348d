import {once} from 'node:events'
import {createServer, type RequestListener, type Server} from 'node:http'
import {mkdtemp, rm} from 'node:fs/promises'
import type {AddressInfo} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals'
import {contactCluster} from '../../../src/lib/api/contact.js'
import {proveIdentity, type Binding} from '../../../src/lib/aws/identity-proof.js'
import type {JoinRequest} from '../../../src/lib/api/requests.js'
import {HostIdentity, type HostOptions} from '../../../src/lib/cluster/host-identity.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {Secret} from '../../../src/lib/core/secret.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'
import type {AllowRule, JoinRole, Token} from '../../../src/lib/resources/token.js'
import {startTestAuth, type TestAuth} from '../../helpers/auth.js'
import {abroad, home, startRig, trust, type Credentials, type Rig} from '../sandbox/rig.js'

let rig: Rig
let plane: TestAuth
let stsUrl = ''
/** Stands in for STS while a test says how it answers. */
let falseSts: Server | undefined
/** What the control plane sent to it. */
const received: {method: string | undefined; url: string | undefined; body: string}[] = []

const roleArn = `arn:aws:sts::${home}:assumed-role/agent/i-0123456789abcdef0`

beforeAll(async () => {
  rig = await startRig({
    accounts: [
      {
        id: home,
        users: [{name: 'operator', path: '/people/'}],
        roles: [{name: 'agent', trust: trust({Service: 'ec2.amazonaws.com'})}],
      },
      {id: abroad, users: [{name: 'stranger'}]},
    ],
    agent: {kind: 'instance-profile', account: home, role: 'agent', region: 'us-west-1'},
  })
  // The SDK reads this one from the process alone.
  process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT = rig.sandbox.environment.AWS_EC2_METADATA_SERVICE_ENDPOINT
  stsUrl = rig.sandbox.environment.AWS_ENDPOINT_URL ?? ''
  plane = await startTestAuth({environment: {AWS_ENDPOINT_URL_STS: stsUrl}})
})

afterEach(() => {
  falseSts?.close()
  falseSts?.closeAllConnections()
  falseSts = undefined
  received.length = 0
})

afterAll(async () => {
  Reflect.deleteProperty(process.env, 'AWS_EC2_METADATA_SERVICE_ENDPOINT')
  await plane.stop()
  await rig.close()
})

function iamToken(name: string, allow: readonly AllowRule[], roles: JoinRole[] = ['Db']): Token {
  return {kind: 'token', version: 'v2', metadata: {name}, spec: {roles, join_method: 'iam', allow: [...allow]}}
}

const variables = (credentials: Credentials, url = stsUrl): Record<string, string> => ({
  AWS_ACCESS_KEY_ID: credentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  AWS_ENDPOINT_URL_STS: url,
  AWS_REGION: 'us-west-1',
})

interface Attempt {
  readonly token: string
  readonly environment: Record<string, string>
  readonly systemRole?: JoinRole
  /** Changes what is signed. */
  readonly bind?: (binding: Binding) => Binding
  /** Changes what is sent. */
  readonly alter?: (request: JoinRequest) => JoinRequest
}

/** A host that comes with a key of its own, asks for a challenge, signs, joins. */
async function joinHost({
  token,
  environment,
  systemRole = 'Db',
  bind = (same) => same,
  alter = (same) => same,
}: Attempt) {
  const client = plane.clientOf()
  const {publicKey} = await generateKeys()
  const {challenge} = await client.joinChallenge({publicKey})
  const proof = await proveIdentity(bind({challenge, publicKey}), {environment, clock: systemClock})
  const request = {token, systemRole, hostname: 'ip-10-0-0-1', version: '0', publicKey, iam: {challenge, ...proof}}
  return client.join(alter(request))
}

async function lastJoin(): Promise<Record<string, unknown> | undefined> {
  return (await plane.admin.events({event: 'instance.join', limit: 1})).events[0]
}

/** A control plane whose STS is this. */
async function withFalseSts(answer: RequestListener): Promise<{url: string; plane: TestAuth}> {
  falseSts = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      received.push({method: request.method, url: request.url, body})
      answer(request, response)
    })
  }).listen(0, '127.0.0.1')
  await once(falseSts, 'listening')
  const url = `http://127.0.0.1:${(falseSts.address() as AddressInfo).port}`
  const other = await startTestAuth({environment: {AWS_ENDPOINT_URL_STS: url}})
  await other.admin.createResource(iamToken('aws', [{aws_account: home}]))
  return {url, plane: other}
}

describe('joining by an AWS identity', () => {
  it('lets in whom a rule allows, by account and by ARN, and audits who it was', async () => {
    await plane.admin.createResource(iamToken('by-account', [{aws_account: abroad}, {aws_account: home}]))
    const operator = rig.keyOf('operator')
    const joined = await joinHost({token: 'by-account', environment: variables(operator)})
    expect(joined.hostId).toMatch(/^[0-9a-f-]{36}$/)
    expect(await lastJoin()).toMatchObject({
      code: 'TJ002I',
      method: 'iam',
      token_name: 'by-account',
      host_id: joined.hostId,
      aws_account: home,
      aws_arn: `arn:aws:iam::${home}:user/people/operator`,
    })

    await plane.admin.createResource(iamToken('by-arn', [{aws_arn: `arn:aws:iam::${home}:user/people/*`}]))
    await expect(joinHost({token: 'by-arn', environment: variables(operator)})).resolves.toMatchObject({
      cluster: plane.auth.cluster,
    })
  })

  it('knows the session of a role, as agents on EC2 have it', async () => {
    await plane.admin.createResource(iamToken('by-role', [{aws_arn: `arn:aws:sts::${home}:assumed-role/agent/*`}]))
    await joinHost({token: 'by-role', environment: rig.sandbox.environment})
    expect(await lastJoin()).toMatchObject({aws_arn: roleArn})
  })

  it('is how a host joins whose configuration says so, and later it needs neither AWS nor the token', async () => {
    await plane.admin.createResource(iamToken('of-hosts', [{aws_account: home}], ['Proxy']))
    const dataDir = await mkdtemp(join(tmpdir(), 'postern-iam-host-'))
    const {host, port} = plane.auth.address
    const options: HostOptions = {
      dataDir,
      systemRole: 'Proxy',
      version: '0.1.0',
      token: () => Promise.resolve(new Secret('of-hosts')),
      prove: (binding) => proveIdentity(binding, {environment: variables(rig.keyOf('operator')), clock: systemClock}),
      firstContact: async () => (await contactCluster(host, port, {pins: plane.auth.caPins()})).endpoint,
      address: plane.auth.address,
      clock: systemClock,
      logger: silentLogger,
    }
    try {
      const joined = await HostIdentity.open(options)
      await joined.close()
      await plane.admin.deleteResource('token', 'of-hosts')
      const again = await HostIdentity.open(options)
      await again.close()
      expect(again.hostId).toBe(joined.hostId)
    } finally {
      await rm(dataDir, {recursive: true, force: true})
    }
  })

  it.each<[string, AllowRule]>([
    ['another account', {aws_account: abroad}],
    ['another ARN of the account', {aws_account: home, aws_arn: `arn:aws:iam::${home}:user/operator`}],
    ['an ARN with the account of others', {aws_account: abroad, aws_arn: `arn:aws:iam::${home}:user/people/*`}],
    ['a beginning only', {aws_arn: `arn:aws:iam::${home}:user/people/op`}],
  ])('refuses an identity that no rule allows: %s', async (what, rule) => {
    const token = what.replaceAll(' ', '-')
    await plane.admin.createResource(iamToken(token, [rule]))
    await expect(joinHost({token, environment: variables(rig.keyOf('operator'))})).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
      message: `The join token does not allow arn:aws:iam::${home}:user/people/operator of the account ${home}.`,
    })
    expect(await lastJoin()).toMatchObject({code: 'TJ002E', success: false, method: 'iam', token_name: token})
  })

  it('refuses roles that the token does not give', async () => {
    await plane.admin.createResource(iamToken('for-db', [{aws_account: home}]))
    const environment = variables(rig.keyOf('operator'))
    await expect(joinHost({token: 'for-db', environment, systemRole: 'Proxy'})).rejects.toMatchObject({
      message: 'The join token is not for the role Proxy.',
    })
  })

  it('refuses keys that are none of AWS', async () => {
    await plane.admin.createResource(iamToken('false-key', [{aws_account: home}]))
    const stolen = {...rig.keyOf('operator'), secretAccessKey: 'guessed'}
    await expect(joinHost({token: 'false-key', environment: variables(stolen)})).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
      message: expect.stringMatching(/^AWS does not confirm the identity of this host \(SignatureDoesNotMatch: /),
    })
  })

  it('has no secret to join with: the name alone, or another method, lets nobody in', async () => {
    await plane.admin.createResource(iamToken('name-of-16-letters', [{aws_account: home}]))
    const {publicKey} = await generateKeys()
    const bare = {token: 'name-of-16-letters', systemRole: 'Db', hostname: 'x', version: '0', publicKey} as const
    await expect(plane.clientOf().join(bare)).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
      message: 'The join token "name-of-16-letters" is for the join method iam.',
    })
    // A token with a secret says nothing to whom tries it by method.
    const {token} = await plane.admin.addToken({roles: ['Db']})
    await expect(joinHost({token, environment: variables(rig.keyOf('operator'))})).rejects.toMatchObject({
      message: 'The join token has expired or is not valid.',
    })
  })
})

describe('the proof', () => {
  const environment = (): Record<string, string> => variables(rig.keyOf('operator'))

  beforeAll(async () => {
    await plane.admin.createResource(iamToken('proof', [{aws_account: home}]))
  })

  it.each<[string, Pick<Attempt, 'bind' | 'alter'>, RegExp]>([
    ['another challenge was signed', {bind: (binding) => ({...binding, challenge: 'A'.repeat(75)})}, /SignatureDoes/],
    ['the key of another host was signed', {bind: (binding) => ({...binding, publicKey: 'other'})}, /SignatureDoes/],
    [
      'the challenge is made up',
      {alter: (request) => ({...request, iam: {...request.iam, challenge: 'A'.repeat(75)} as JoinRequest['iam']})},
      /challenge has expired, or is not one for this host/,
    ],
    [
      'headers are left out of the signature',
      {
        alter: ({iam, ...request}) => ({
          ...request,
          iam: iam && {
            ...iam,
            authorization: iam.authorization.replace(';x-postern-challenge;x-postern-public-key', ''),
          },
        }),
      },
      /not signed as it must be/,
    ],
    [
      'another service was signed for',
      {
        alter: ({iam, ...request}) => ({
          ...request,
          iam: iam && {...iam, authorization: iam.authorization.replace('/sts/', '/iam/')},
        }),
      },
      /not signed as it must be/,
    ],
  ])('is void when %s', async (_what, change, message) => {
    await expect(joinHost({token: 'proof', environment: environment(), ...change})).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
      message: expect.stringMatching(message),
    })
  })

  it('is void for a key that the challenge was not made for: what somebody overheard is of no use', async () => {
    const {publicKey} = await generateKeys()
    await expect(
      joinHost({token: 'proof', environment: environment(), alter: (request) => ({...request, publicKey})}),
    ).rejects.toMatchObject({message: 'The challenge has expired, or is not one for this host.'})
  })

  it('lets in once', async () => {
    let sent: JoinRequest | undefined
    await joinHost({token: 'proof', environment: environment(), alter: (request) => (sent = request)})
    if (!sent) throw new Error('nothing was sent')
    await expect(plane.clientOf().join(sent)).rejects.toMatchObject({message: 'The challenge was answered before.'})
  })

  it('is void a minute after the challenge, and after a restart of the control plane', async () => {
    let ahead = 0
    const clock = {...systemClock, now: () => systemClock.now() + ahead}
    const other = await startTestAuth({environment: {AWS_ENDPOINT_URL_STS: stsUrl}, clock})
    try {
      await other.admin.createResource(iamToken('late', [{aws_account: home}]))
      const {publicKey} = await generateKeys()
      const {challenge} = await other.clientOf().joinChallenge({publicKey})
      const proof = await proveIdentity({challenge, publicKey}, {environment: environment(), clock: systemClock})
      const request = {token: 'late', systemRole: 'Db', hostname: 'x', version: '0', publicKey} as const
      ahead = 61_000
      await expect(other.clientOf().join({...request, iam: {challenge, ...proof}})).rejects.toMatchObject({
        message: 'The challenge has expired, or is not one for this host.',
      })
      await expect(
        plane.clientOf().join({...request, token: 'proof', iam: {challenge, ...proof}}),
      ).rejects.toMatchObject({message: 'The challenge has expired, or is not one for this host.'})
    } finally {
      await other.stop()
    }
  })

  it.each([
    'sts.us-west-1.amazonaws.com.evil.example.com',
    'evil.example.com',
    'sts.amazonaws.com:8443',
    'sts.amazonaws.com@evil.example.com',
    'sts.evil.amazonaws.com',
    's3.us-west-1.amazonaws.com',
    'sts.us-west-1.amazonaws.com.cn',
    'sts.cn-north-1.amazonaws.com',
    '169.254.169.254',
    '127.0.0.1:1',
    'sts.us-west-1.amazonaws.com/../x',
    'sts.us-west-1.amazonaws.com\n.evil.example.com',
  ])('never makes the control plane ask %j', async (host) => {
    await expect(
      joinHost({
        token: 'proof',
        environment: environment(),
        alter: ({iam, ...request}) => ({...request, iam: iam && {...iam, host}}),
      }),
    ).rejects.toMatchObject({code: 'ACCESS_DENIED', message: expect.stringMatching(/is not an endpoint of AWS STS\.$/)})
  })
})

describe('the control plane as a client of STS', () => {
  const attempt = async (answer: RequestListener): Promise<unknown> => {
    const {url, plane: other} = await withFalseSts(answer)
    try {
      const {publicKey} = await generateKeys()
      const {challenge} = await other.clientOf().joinChallenge({publicKey})
      const environment = variables(rig.keyOf('operator'), url)
      const proof = await proveIdentity({challenge, publicKey}, {environment, clock: systemClock})
      const host = {token: 'aws', systemRole: 'Db', hostname: 'x', version: '0', publicKey} as const
      return await other.clientOf().join({...host, iam: {challenge, ...proof}})
    } finally {
      await other.stop()
    }
  }
  const identity = (account: string, arn: string): string =>
    `<GetCallerIdentityResult><Arn>${arn}</Arn><UserId>A</UserId><Account>${account}</Account></GetCallerIdentityResult>`

  it('sends the one request that it knows, and takes a plain answer', async () => {
    await expect(attempt((_, response) => response.end(identity(home, roleArn)))).resolves.toMatchObject({
      hostId: expect.any(String),
    })
    expect(received).toEqual([{method: 'POST', url: '/', body: 'Action=GetCallerIdentity&Version=2011-06-15'}])
  })

  it.each<[string, RequestListener, object]>([
    [
      'follows no redirect',
      (_, response) => response.writeHead(307, {location: stsUrl}).end(),
      {code: 'ACCESS_DENIED', message: expect.stringMatching(/HTTP status 307/)},
    ],
    [
      'reads no endless answer',
      (_, response) => {
        response.on('error', () => undefined)
        response.end(identity(home, roleArn) + ' '.repeat(1_000_000))
      },
      {code: 'UNREACHABLE'},
    ],
    [
      'takes no answer with two identities',
      (_, response) => response.end(identity(abroad, roleArn) + identity(home, roleArn)),
      {code: 'UNREACHABLE', message: expect.stringMatching(/none about an identity/)},
    ],
    [
      'takes no ARN of another account than the one named',
      (_, response) => response.end(identity(home, roleArn.replace(home, abroad))),
      {code: 'UNREACHABLE'},
    ],
    ['takes an outage for one', (_, response) => response.writeHead(503).end(), {code: 'UNREACHABLE'}],
    [
      'shows no control characters of an answer',
      (_, response) => response.writeHead(403).end('<Code>No\u001b[2J</Code><Message>\u202eno</Message>'),
      {message: 'AWS does not confirm the identity of this host (No\\u{1b}[2J: \\u{202e}no).'},
    ],
  ])('%s', async (_what, answer, failure) => {
    await expect(attempt(answer)).rejects.toMatchObject(failure)
    expect(received).toHaveLength(1)
  })
})

describe('a token of the method iam', () => {
  it.each<[string, Record<string, unknown>, RegExp]>([
    ['has rules', {join_method: 'iam'}, /spec\.allow: must name/],
    ['has at least one', {join_method: 'iam', allow: []}, /spec\.allow/],
    ['has rules that say something', {join_method: 'iam', allow: [{}]}, /aws_account or an aws_arn/],
    ['has accounts of 12 digits', {join_method: 'iam', allow: [{aws_account: '12'}]}, /12 digits/],
    [
      'has ARNs with an account',
      {join_method: 'iam', allow: [{aws_arn: 'arn:aws:sts::*:assumed-role/x/*'}]},
      /account/,
    ],
    ['alone has rules', {join_method: 'token', allow: [{aws_account: home}]}, /is for the join method iam/],
  ])('%s', async (_what, spec, message) => {
    const token = {kind: 'token', version: 'v2', metadata: {name: 'name-of-16-letters'}, spec: {roles: ['Db'], ...spec}}
    await expect(plane.admin.createResource(token as unknown as Token)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(message),
    })
  })
})
