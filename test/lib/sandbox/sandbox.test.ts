import {execFile} from 'node:child_process'
import {readFile, stat} from 'node:fs/promises'
import {createRequire} from 'node:module'
import {promisify} from 'node:util'
import {afterEach, describe, expect, it} from '@jest/globals'
import type {AgentDefinition, WorldDefinition} from '../../../src/lib/sandbox/definition.js'
import {home, policy, region, startRig, trust, type Rig} from './rig.js'

let rig: Rig

afterEach(() => rig.close())

const issuer = 'oidc.sandbox.postern.dev'

const worldFor = (agent: AgentDefinition): WorldDefinition => ({
  agent,
  accounts: [
    {
      id: home,
      users: [
        {name: 'agent', accessKeys: [{id: 'AKIAIOSFODNN7EXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'}]},
      ],
      roles: [
        {name: 'ec2', trust: trust({Service: 'ec2.amazonaws.com'})},
        {name: 'closed', trust: trust({Service: 'lambda.amazonaws.com'})},
        {
          name: 'pod',
          trust: policy({
            Effect: 'Allow',
            Principal: {Federated: `arn:aws:iam::${home}:oidc-provider/${issuer}`},
            Action: 'sts:AssumeRoleWithWebIdentity',
            Condition: {StringEquals: {[`${issuer}:aud`]: 'sts.amazonaws.com'}},
          }),
        },
      ],
    },
  ],
})

const instance = (role: string, more: Partial<AgentDefinition & {kind: 'instance-profile'}> = {}): AgentDefinition => ({
  kind: 'instance-profile',
  account: home,
  role,
  region,
  ...more,
})

const run = promisify(execFile)
const sts = createRequire(import.meta.url).resolve('@aws-sdk/client-sts')
const script = `
const {STSClient, GetCallerIdentityCommand} = require(${JSON.stringify(sts)})
const client = new STSClient({maxAttempts: 1})
Promise.all([client.send(new GetCallerIdentityCommand({})), client.config.credentials()]).then(
  ([{Arn}, {expiration}]) => console.log(JSON.stringify({arn: Arn, expires: expiration})),
  (error) => console.log(JSON.stringify({error: error.message})),
)`

/** Who an SDK is that knows nothing but the sandbox's environment. */
async function whoLivesThere(): Promise<{arn?: string; error?: string; expires?: string}> {
  const env = {PATH: process.env.PATH, HOME: '/nonexistent', ...rig.sandbox.environment}
  const {stdout} = await run(process.execPath, ['-e', script], {env})
  return JSON.parse(stdout) as {arn?: string}
}

/** The same where the metadata service is asked: the SDK gives that a second, and a busy machine may take it. */
async function whoLivesOnInstance(): ReturnType<typeof whoLivesThere> {
  for (;;) {
    const who = await whoLivesThere()
    if (who.error?.startsWith('Could not load credentials') !== true) return who
  }
}

describe('the environment is enough for any SDK', () => {
  it('with an access key', async () => {
    rig = await startRig(worldFor({kind: 'access-key', account: home, user: 'agent', region}))
    expect(rig.sandbox.environment).toMatchObject({
      AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
      AWS_REGION: region,
      AWS_DEFAULT_REGION: region,
      AWS_EC2_METADATA_DISABLED: 'true',
    })
    expect(await whoLivesThere()).toEqual({arn: `arn:aws:iam::${home}:user/agent`})
  })

  it('with a web identity, whose token nobody else may read', async () => {
    rig = await startRig(
      worldFor({kind: 'web-identity', account: home, role: 'pod', region, subject: 'system:serviceaccount:db:agent'}),
    )
    const file = rig.sandbox.environment.AWS_WEB_IDENTITY_TOKEN_FILE ?? ''
    expect((await stat(file)).mode & 0o077).toBe(0)
    expect((await whoLivesThere()).arn).toMatch(`arn:aws:sts::${home}:assumed-role/pod/`)
  })

  it('on an instance', async () => {
    rig = await startRig(worldFor(instance('ec2')))
    const {arn, expires} = await whoLivesOnInstance()
    expect(arn).toBe(`arn:aws:sts::${home}:assumed-role/ec2/i-0123456789abcdef0`)
    expect(Math.round((Date.parse(expires ?? '') - Date.now()) / 3_600_000)).toBe(6)
  })
})

describe('the metadata service', () => {
  const fetchMetadata = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(`${rig.sandbox.environment.AWS_EC2_METADATA_SERVICE_ENDPOINT ?? ''}${path}`, init)
  const tokenRequest = {method: 'PUT', headers: {'x-aws-ec2-metadata-token-ttl-seconds': '60'}}
  const getToken = async (): Promise<string> => (await fetchMetadata('/latest/api/token', tokenRequest)).text()
  const credentialsPath = '/latest/meta-data/iam/security-credentials/ec2'

  it('answers only with a token, and while it lives', async () => {
    rig = await startRig(worldFor(instance('ec2')))
    const headers = {'x-aws-ec2-metadata-token': await getToken()}
    expect((await fetchMetadata(credentialsPath)).status).toBe(401)
    expect((await fetchMetadata(credentialsPath, {headers: {'x-aws-ec2-metadata-token': 'x'}})).status).toBe(401)
    expect(await (await fetchMetadata(credentialsPath, {headers})).json()).toMatchObject({Code: 'Success'})
    expect(await (await fetchMetadata('/latest/meta-data/placement/region', {headers})).text()).toBe(region)
    expect((await fetchMetadata('/latest/user-data', {headers})).status).toBe(404)
    rig.clock.ahead = 61_000
    expect((await fetchMetadata(credentialsPath, {headers})).status).toBe(401)
  })

  it('asks for a life time of the token', async () => {
    rig = await startRig(worldFor(instance('ec2')))
    expect((await fetchMetadata('/latest/api/token', {method: 'PUT'})).status).toBe(400)
  })

  it('renews credentials five minutes before their end', async () => {
    rig = await startRig(worldFor(instance('ec2', {credentialLifetime: 900_000})))
    rig.clock.hold()
    const read = async (): Promise<unknown> => {
      const answer = await fetchMetadata(credentialsPath, {headers: {'x-aws-ec2-metadata-token': await getToken()}})
      return ((await answer.json()) as {AccessKeyId?: string}).AccessKeyId
    }
    const first = await read()
    rig.clock.ahead = 599_000
    expect(await read()).toBe(first)
    rig.clock.ahead = 601_000
    expect(await read()).not.toBe(first)
  })

  it('gives no credentials of a role that does not trust EC2', async () => {
    rig = await startRig(worldFor(instance('closed')))
    expect((await whoLivesThere()).error).toBeDefined()
  })

  it('never answers the request for a token when a hop is missing', async () => {
    rig = await startRig(worldFor(instance('ec2', {hopLimit: 1})))
    const signal = AbortSignal.timeout(300)
    await expect(fetchMetadata('/latest/api/token', {...tokenRequest, signal})).rejects.toThrow()
    expect((await whoLivesThere()).error).toBeDefined()
  })

  it('can be out of order', async () => {
    rig = await startRig(worldFor(instance('ec2')))
    rig.sandbox.world.switches.outages.add('metadata')
    expect((await fetchMetadata('/latest/api/token', tokenRequest)).status).toBe(503)
  })
})

it('publishes its authorities as files', async () => {
  rig = await startRig(worldFor({kind: 'access-key', account: home, user: 'agent', region}))
  for (const {certificate, path} of Object.values(rig.sandbox.authorities)) {
    expect(await readFile(path, 'utf8')).toBe(certificate)
  }
})

it('does not start for an agent that is nobody', async () => {
  rig = await startRig({accounts: []})
  await expect(startRig({accounts: [], agent: instance('ec2')})).rejects.toMatchObject({code: 'INVALID'})
})
