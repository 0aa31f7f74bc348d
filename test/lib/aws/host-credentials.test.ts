import {once} from 'node:events'
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {createServer, request as httpRequest} from 'node:http'
import type {AddressInfo} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {AwsClients, using} from '../../../src/lib/aws/clients.js'
import {HostCredentials} from '../../../src/lib/aws/host-credentials.js'
import type {AwsSession} from '../../../src/lib/aws/session.js'
import type {WorldDefinition} from '../../../src/lib/sandbox/definition.js'
import {home, MovableClock, policy, region, startRig, type Rig} from '../sandbox/rig.js'

const metadataVariable = 'AWS_EC2_METADATA_SERVICE_ENDPOINT'
const agentRole = 'agent-role'

const world = (agent?: WorldDefinition['agent']): WorldDefinition => ({
  accounts: [
    {
      id: home,
      users: [{name: 'agent'}],
      roles: [
        {
          name: agentRole,
          trust: policy(
            {Effect: 'Allow', Principal: {Service: 'ec2.amazonaws.com'}, Action: 'sts:AssumeRole'},
            {Effect: 'Allow', Principal: {Federated: '*'}, Action: 'sts:AssumeRoleWithWebIdentity'},
          ),
        },
      ],
    },
  ],
  ...(agent && {agent}),
})
const onKeys = {kind: 'access-key', account: home, user: 'agent', region} as const
const onInstance = {kind: 'instance-profile', account: home, role: agentRole, region} as const

let rig: Rig
let directory: string
const before = process.env[metadataVariable]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'aws-home-'))
})

afterEach(async () => {
  await rig.close()
  await rm(directory, {recursive: true})
  if (before === undefined) Reflect.deleteProperty(process.env, metadataVariable)
  else process.env[metadataVariable] = before
})

interface Host {
  readonly credentials: HostCredentials
  readonly clock: MovableClock
  readonly clients: AwsClients
}

/** An agent's host in the sandbox, with a home of its own. */
async function start(agent: WorldDefinition['agent'], more: Readonly<Record<string, string>> = {}): Promise<Host> {
  rig = await startRig(world(agent))
  // The SDK reads this one from the process alone.
  process.env[metadataVariable] = rig.sandbox.environment[metadataVariable] ?? 'http://127.0.0.1:1'
  const environment = {...rig.sandbox.environment, HOME: directory, ...more}
  const clients = new AwsClients(environment)
  const clock = new MovableClock()
  return {credentials: new HostCredentials({environment, clients, clock}), clock, clients}
}

/** Who AWS says they are. */
async function whoAmI({clients}: Host, session: AwsSession): Promise<string | undefined> {
  const {GetCallerIdentityCommand} = await import('@aws-sdk/client-sts')
  const client = await clients.sts({session, region})
  return using(client, async (sts) => (await sts.send(new GetCallerIdentityCommand({}))).Arn)
}

describe('the credentials of the host come from', () => {
  it('the environment first, also when AWS_PROFILE is set', async () => {
    const host = await start(onKeys, {AWS_PROFILE: 'other'})
    await writeFile(join(directory, 'credentials'), '')
    expect(await whoAmI(host, await host.credentials.get())).toBe(`arn:aws:iam::${home}:user/agent`)
  })

  it('the shared credentials file', async () => {
    const file = join(directory, 'keys')
    const host = await start(undefined, {AWS_SHARED_CREDENTIALS_FILE: file, AWS_PROFILE: 'work'})
    const {accessKeyId, secretAccessKey} = rig.keyOf('agent')
    await writeFile(file, `[work]\naws_access_key_id=${accessKeyId}\naws_secret_access_key=${secretAccessKey}\n`)
    expect(await whoAmI(host, await host.credentials.get())).toBe(`arn:aws:iam::${home}:user/agent`)
  })

  it('a web identity', async () => {
    const host = await start({...onInstance, kind: 'web-identity', subject: 'system:serviceaccount:db:agent'})
    const arn = await whoAmI(host, await host.credentials.get())
    expect(arn).toBe(`arn:aws:sts::${home}:assumed-role/${agentRole}/postern`)
  })

  it('the metadata service of the instance', async () => {
    const host = await start(onInstance)
    const arn = await whoAmI(host, await host.credentials.get())
    expect(arn).toBe(`arn:aws:sts::${home}:assumed-role/${agentRole}/i-0123456789abcdef0`)
  })

  it.each([
    ['its token', 1],
    ['the name of its role', 2],
    ['the key itself', 3],
  ])('the metadata service of the instance, also when %s comes late for once', async (_, late) => {
    const host = await start(onInstance)
    const service = process.env[metadataVariable] ?? ''
    let requests = 0
    const slow = createServer((request, response) => {
      requests += 1
      // Whoever is held up says nothing, and then goes on.
      if (requests === late) return
      const {method = '', url, headers} = request
      const onward = httpRequest(new URL(url ?? '', service), {method, headers}, (answer) => {
        response.writeHead(answer.statusCode ?? 0, answer.headers)
        answer.pipe(response)
      })
      request.pipe(onward)
    })
    await once(slow.listen(0, '127.0.0.1'), 'listening')
    try {
      process.env[metadataVariable] = `http://127.0.0.1:${(slow.address() as AddressInfo).port}`
      const arn = await whoAmI(host, await host.credentials.get())
      expect(arn).toBe(`arn:aws:sts::${home}:assumed-role/${agentRole}/i-0123456789abcdef0`)
      expect(requests).toBeGreaterThan(2)
    } finally {
      slow.closeAllConnections()
      slow.close()
    }
  })
})

describe('without credentials the error names every source and why it has none', () => {
  it('in their order, the hop limit of the instance included', async () => {
    const host = await start({...onInstance, hopLimit: 1})
    const failure = await host.credentials.get().catch((error: unknown) => error as Error)
    expect(failure).toMatchObject({code: 'FAILED'})
    const {message} = failure as Error
    expect(message).toMatch(
      /NoCredentialProviders: .*environment: AWS_ACCESS_KEY_ID is not set; shared files: no credentials for profile "default" in .*credentials or .*config; web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set; container endpoint: .*; EC2 instance metadata: http.* gave no IMDSv2 token within 1000 ms: .*HttpPutResponseHopLimit/,
    )
  })

  it('when there is no metadata service, or it is switched off', async () => {
    const host = await start(undefined, {AWS_EC2_METADATA_DISABLED: 'false', [metadataVariable]: 'http://127.0.0.1:1'})
    await expect(host.credentials.get()).rejects.toThrow(/127.0.0.1:1 does not answer: this is no EC2 instance/)
    await rig.close()
    const other = await start(undefined)
    await expect(other.credentials.get()).rejects.toThrow(/metadata: switched off by AWS_EC2_METADATA_DISABLED/)
  })

  it('and stops at one that is set up and fails', async () => {
    const host = await start(onInstance, {
      AWS_ROLE_ARN: `arn:aws:iam::${home}:role/missing`,
      AWS_WEB_IDENTITY_TOKEN_FILE: join(directory, 'token'),
    })
    await writeFile(join(directory, 'token'), 'no token at all')
    const message = await host.credentials.get().then(String, (error: unknown) => (error as Error).message)
    expect(message).toContain('web identity: ')
    expect(message).not.toContain('EC2 instance metadata')
    expect(message).not.toContain('no token at all')
  })

  const process = 'sh -c "echo hush >&2; exit 1"'

  it.each<[string, string, RegExp]>([
    [
      'a credential_process that fails',
      `credential_process = ${process}`,
      /credential_process of profile "work" failed/,
    ],
    [
      'a credential_process underneath that fails',
      `role_arn = arn:aws:iam::1:role/r\nsource_profile = base\n[base]\ncredential_process = ${process}`,
      /credential_process of profile "base" failed/,
    ],
    ['a source_profile that is missing', 'role_arn = arn:aws:iam::1:role/r\nsource_profile = gone', /\[gone\]/],
    ['a circle of roles', 'role_arn = arn:aws:iam::1:role/r\nsource_profile = work', /cycle|\[work\]/],
    ['half a key', 'aws_access_key_id = AKIDEXAMPLE', /\[work\]/],
  ])('and does not go on to the instance after %s', async (_, profile, expected) => {
    const file = join(directory, 'keys')
    const host = await start(onInstance, {AWS_SHARED_CREDENTIALS_FILE: file, AWS_PROFILE: 'work'})
    await writeFile(file, `[work]\n${profile}\n`)
    const message = await host.credentials.get().then(String, (error: unknown) => (error as Error).message)
    expect(message).toMatch(/; shared files: /)
    expect(message).toMatch(expected)
    expect(message).not.toContain('hush')
    expect(message).not.toContain('EC2 instance metadata')
  })

  it('and does not go on when the profile that is named does not exist', async () => {
    const host = await start(onInstance, {AWS_PROFILE: 'mistyped'})
    await expect(host.credentials.get()).rejects.toThrow(/shared files: .*\[mistyped\]/)
  })

  it('but goes on when the profile holds no more than a region', async () => {
    const file = join(directory, 'config')
    const host = await start(onInstance, {AWS_CONFIG_FILE: file, AWS_PROFILE: 'work'})
    await writeFile(file, '[profile work]\nregion = us-west-1\n')
    expect(await whoAmI(host, await host.credentials.get())).toContain(agentRole)
  })

  it('names the half of a key that is missing', async () => {
    const host = await start(undefined, {AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE'})
    await expect(host.credentials.get()).rejects.toThrow('environment: AWS_SECRET_ACCESS_KEY is not set')
  })
})

it('credentials are held until five minutes before their end', async () => {
  const host = await start(onInstance)
  const first = await host.credentials.get()
  expect(await host.credentials.get()).toBe(first)
  const left = (first.expires ?? 0) - host.clock.now()
  host.clock.ahead = left - 6 * 60_000
  expect(await host.credentials.get()).toBe(first)
  rig.clock.ahead = host.clock.ahead = left - 4 * 60_000
  expect((await host.credentials.get()).accessKeyId).not.toBe(first.accessKeyId)
})

it('no output shows a secret', async () => {
  const host = await start(onKeys)
  const session = await host.credentials.get()
  const {secretAccessKey} = rig.keyOf('agent')
  expect(JSON.stringify(session)).not.toContain(secretAccessKey)
})

it('AWS_DEFAULT_REGION counts as AWS_REGION does', async () => {
  const host = await start(undefined, {AWS_DEFAULT_REGION: 'eu-west-3'})
  expect(await host.clients.defaultRegion()).toBe('eu-west-3')
})
