import {AssumeRoleCommand, STSClient} from '@aws-sdk/client-sts'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import type {PostgresServer} from '../../src/lib/cluster/postgres.js'
import {cleanEnvironment, runCli, type Finished} from '../helpers/cli.js'
import {query, realPostgres, refusalOf, startOpenPostgres, tokenFor} from '../lib/sandbox/databases.js'
import {abroad, allow, home, region, startRig, trust, type Credentials, type Rig} from '../lib/sandbox/rig.js'

const suffix = `abcdefghijklm.${region}.rds.amazonaws.com:5432`
const primary = `aurora.cluster-${suffix}`
const createIam = ['db', 'configure', 'aws', 'create-iam']
const bootstrap = ['db', 'configure', 'bootstrap']
const arn = (name: string, account = home): string => `arn:aws:iam::${account}:role/${name}`

let server: PostgresServer
let rig: Rig
let directory: string
let config: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-iam-'))
  server = await startOpenPostgres()
  rig = await startRig(
    {
      accounts: [
        {
          id: home,
          endpointId: 'abcdefghijklm',
          users: [
            {name: 'operator', inline: {all: allow('*')}},
            {name: 'intern', inline: {look: allow(['iam:GetPolicy', 'sts:*'])}},
            {name: 'agent', inline: {start: allow('sts:AssumeRole', arn('agent'))}},
          ],
          roles: [
            {name: 'agent', path: '/services/', trust: trust({AWS: home})},
            {name: 'rds', trust: trust({AWS: home})},
            {name: 'admin', path: '/people/', trust: trust({AWS: home}), inline: {all: allow('*')}},
            {name: 'blind', trust: trust({AWS: home})},
          ],
          policies: [{name: 'Foreign', document: allow('s3:GetObject')}],
          clusters: [{id: 'aurora', region, resourceId: 'cluster-AURORA'}],
        },
        {
          id: abroad,
          roles: [
            {
              name: 'finder',
              trust: trust({AWS: home}, {Condition: {StringEquals: {'sts:ExternalId': 'ext-1'}}}),
              inline: {all: allow('iam:*')},
            },
          ],
        },
      ],
    },
    realPostgres(server),
  )
  await server.execute('create role alice login; grant rds_iam to alice')
  config = join(directory, 'postern.yaml')
  await writeFile(
    config,
    `version: v3
postern: {proxy_server: "postern.example.com:443", auth_token: x}
auth_service: {enabled: no}
proxy_service: {enabled: no}
db_service:
  enabled: yes
  databases:
  - {name: aurora, protocol: postgres, uri: "${primary}", aws: {assume_role_arn: "${arn('rds')}"}}
  - {name: orders, protocol: postgres, uri: "orders.internal:5432"}
  - {name: redshift, protocol: postgres, uri: "c1.abcdefghijklm.${region}.redshift.amazonaws.com:5439"}
`,
  )
})

afterAll(async () => {
  await rig.close()
  await server.stop()
  await rm(directory, {recursive: true})
})

const variables = ({accessKeyId, secretAccessKey, sessionToken}: Credentials): NodeJS.ProcessEnv => ({
  ...rig.sandbox.environment,
  AWS_REGION: region,
  AWS_ACCESS_KEY_ID: accessKeyId,
  AWS_SECRET_ACCESS_KEY: secretAccessKey,
  ...(sessionToken !== undefined && {AWS_SESSION_TOKEN: sessionToken}),
})

const as = (user: string, words: readonly string[]): Promise<Finished> =>
  runCli(words, {environment: variables(rig.keyOf(user))})

/** A session of a role, taken by the operator or another session. */
async function sessionOf(role: string, of: Credentials = rig.keyOf('operator')): Promise<Credentials> {
  const sts = new STSClient(rig.client(of))
  const {Credentials: made} = await sts.send(new AssumeRoleCommand({RoleArn: role, RoleSessionName: 'test'}))
  sts.destroy()
  const {AccessKeyId = '', SecretAccessKey = '', SessionToken = ''} = made ?? {}
  return {accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken}
}

const policyOf = (name: string, account = home) =>
  rig.sandbox.world.accounts.get(account)?.policies.get(`arn:aws:iam::${account}:policy/${name}`)

async function visit(credentials: Credentials): Promise<unknown> {
  const password = await tokenFor({endpoint: primary, user: 'alice', credentials})
  return query(rig, {endpoint: primary, kind: 'rds', user: 'alice', password}, 'select current_user as who')
}

describe('create-iam', () => {
  it('makes a policy that lets the role in, and says so step by step', async () => {
    expect(await refusalOf(visit(await sessionOf(arn('services/agent'))))).toMatchObject({code: '28000'})
    const {code, stdout, stderr} = await as('operator', [
      ...createIam,
      '--types=rds',
      '--name=Access',
      '--role=/services/agent',
      '--confirm',
    ])
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    expect(stdout).toBe(`1. [${home}] Create IAM Policy "Access":
{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "rds:DescribeDBInstances",
                "rds:DescribeDBClusters",
                "rds:ModifyDBInstance",
                "rds:ModifyDBCluster",
                "rds-db:connect"
            ],
            "Resource": "*"
        }
    ]
}

2. [${home}] Attach IAM policies to "agent".

✅[AWS] [${home}] Create IAM Policy "Access"... done.
✅[AWS] [${home}] Attach IAM policies to "agent"... done.
`)
    expect(await visit(await sessionOf(arn('services/agent')))).toEqual([{who: 'alice'}])
    expect(policyOf('Access')?.tags).toEqual(new Map([['postern', '']]))
  })

  it('gives its policy new versions, and makes room for the sixth', async () => {
    const make = (types: string) => as('operator', [...createIam, '--types', types, '--name=Versions', '--confirm'])
    for (const types of ['rds', 'rds', 'redshift', 'rds', 'rds', 'redshift', 'rdsproxy']) {
      expect(await make(types)).toMatchObject({code: 0})
    }
    const policy = policyOf('Versions')
    expect(policy?.versions.map(({id}) => id).sort()).toEqual(['v3', 'v4', 'v5', 'v6', 'v7'])
    expect(policy?.defaultVersion.latest).toMatchObject({id: 'v7'})
    expect(policy?.defaultVersion.latest.policy.text).toContain('rds:DescribeDBProxies')
  })

  it('leaves a policy alone that is not its own', async () => {
    const {code, stdout, stderr} = await as('operator', [...createIam, '--types=rds', '--name=Foreign', '--confirm'])
    expect(code).toBe(6)
    expect(stdout).toContain(
      `❌[AWS] [${home}] Create IAM Policy "Foreign"... failed.\nFailure reason: The policy arn:aws:iam::${home}:policy/Foreign exists and has no tag "postern"`,
    )
    expect(stdout).not.toContain('done.')
    expect(stderr).toContain('Not everything was done in AWS.')
    expect(policyOf('Foreign')?.versions.length).toBe(1)
  })

  it('finds the role behind a session, with its path', async () => {
    const environment = variables(await sessionOf(arn('people/admin')))
    const {stdout} = await runCli([...createIam, '--types=redshift', '--name=Own', '--confirm', '-f', 'json'], {
      environment,
    })
    expect(JSON.parse(stdout)).toMatchObject({
      accounts: [home],
      actions: [
        {action: 'create-policy', policy_name: 'Own'},
        {action: 'attach-policy', target_arn: arn('people/admin')},
      ],
    })
    const {grants} = rig.sandbox.world.accounts.get(home)?.roles.get('admin') ?? {}
    expect(grants?.latest.attached).toContain(`arn:aws:iam::${home}:policy/Own`)
  })

  it('says what to do when the role behind a session cannot be read', async () => {
    const environment = variables(await sessionOf(arn('blind')))
    const {code, stderr} = await runCli([...createIam, '--types=redshift', '--confirm'], {environment})
    expect(code).toBe(4)
    expect(stderr).toContain('The role "blind" behind the AWS credentials cannot be read')
    expect(stderr).toContain('--attach-to-role')
    expect(stderr).toContain('iam:GetRole')
  })

  it('says what AWS refuses, and goes no further', async () => {
    const {code, stdout} = await as('intern', [...createIam, '--types=rds', '--name=Refused', '--confirm'])
    expect(code).toBe(4)
    expect(stdout).toContain(`Create IAM Policy "Refused"... failed.`)
    expect(stdout).toMatch(/Failure reason: .*is not authorized to perform: iam:CreatePolicy/)
    expect(stdout).not.toContain('Attach IAM policies to "intern"...')
  })

  it('without a terminal names --confirm before it asks AWS, and has no effect', async () => {
    const {code, stdout, stderr} = await runCli([...createIam, '--types=rds', '--name=Unconfirmed'])
    expect({code, stdout}).toEqual({code: 2, stdout: ''})
    expect(stderr).toContain('--confirm')
    expect(policyOf('Unconfirmed')).toBeUndefined()
  })

  it.each([
    ['n', undefined],
    ['y', 'Asked'],
  ])('on a terminal asks; %j is an answer', async (key, made) => {
    const line = [process.execPath, resolve('bin/run.js'), ...createIam, '--types=rds', '--name=Asked'].join(' ')
    const terminal = spawn('script', ['-qec', line, '/dev/null'], {
      env: cleanEnvironment({...variables(rig.keyOf('operator')), TERM: 'dumb'}),
    })
    let screen = ''
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (!screen.includes('Confirm?') && (screen + text).includes('Confirm?')) terminal.stdin.write(`${key}\r`)
      screen += text
    })
    const [code] = (await once(terminal, 'close')) as [number]
    expect(code).toBe(0)
    expect(screen.includes('done.')).toBe(made !== undefined)
    expect(policyOf('Asked')?.name).toBe(made)
  })

  it.each([
    [['--types=rds', '--name=a b'], '"a b" is not the name of a policy'],
    [['--types=aurora'], 'rds, rdsproxy, redshift, redshift-serverless'],
    [[], 'Neither --types nor --assumes-roles'],
  ])('%j is a mistake of usage', async (words, said) => {
    const {code, stderr} = await as('operator', [...createIam, ...words, '--confirm'])
    expect(code).toBe(2)
    expect(stderr).toContain(said)
  })
})

describe('bootstrap', () => {
  it('without AWS lists what is to be done', async () => {
    expect(await runCli([...bootstrap, '-c', config, '--manual'])).toEqual({
      code: 0,
      stderr: '',
      stdout: `Reading configuration at "${config}"...

Configure AWS for Database Service for accounts: [*]
1. [*] Create IAM Policy "DatabaseAccess":
{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "redshift:DescribeClusters",
                "redshift:GetClusterCredentials"
            ],
            "Resource": "*"
        },
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Resource": "${arn('rds')}"
        }
    ]
}

2. [*] Attach IAM policies to "username".
`,
    })
  })

  it('for the agent and for its role makes the way to the database whole', async () => {
    const run = (...words: readonly string[]) => as('operator', [...bootstrap, '-c', config, '--confirm', ...words])
    const reach = async () => visit(await sessionOf(arn('rds'), await sessionOf(arn('services/agent'))))
    const first = await run('--attach-to-role', '/services/agent')
    expect({code: first.code, stderr: first.stderr}).toEqual({code: 0, stderr: ''})
    expect(first.stdout).toContain(`Configure AWS for Database Service for accounts: [${home}]\n1. [${home}] Create`)
    expect(await refusalOf(reach())).toMatchObject({code: '28000'})
    const second = await run('--policy-name=rds-access', '--attach-to-role', arn('rds'))
    expect(second.stdout).toContain(`✅[AWS] [${home}] Attach IAM policies to "rds"... done.\n`)
    expect(second.stdout).not.toContain('sts:AssumeRole')
    expect(await reach()).toEqual([{who: 'alice'}])
  })

  it('acts in the account of a role that finds databases, as that role', async () => {
    const file = join(directory, 'finding.yaml')
    await writeFile(
      file,
      `version: v3
postern: {proxy_server: "postern.example.com:443", auth_token: x}
auth_service: {enabled: no}
proxy_service: {enabled: no}
db_service:
  enabled: yes
  aws:
  - {types: [rdsproxy], regions: [${region}], assume_role_arn: "${arn('finder', abroad)}", external_id: ext-1}
`,
    )
    const {code, stdout, stderr} = await as('operator', [...bootstrap, '-c', file, '--policy-name=Far', '--confirm'])
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    expect(stdout).toContain(`for accounts: [${home} ${abroad}]`)
    expect(policyOf('Far', abroad)?.defaultVersion.latest.policy.text).toContain('rds:DescribeDBProxies')
    expect(policyOf('Far')?.defaultVersion.latest.policy.text).toContain('sts:AssumeRole')
    const {grants} = rig.sandbox.world.accounts.get(abroad)?.roles.get('finder') ?? {}
    expect(grants?.latest.attached).toContain(`arn:aws:iam::${abroad}:policy/Far`)
  })

  it('says when there is nothing to do', async () => {
    const file = join(directory, 'nothing.yaml')
    await writeFile(
      file,
      'version: v3\npostern: {proxy_server: "p:443", auth_token: x}\nauth_service: {enabled: no}\nproxy_service: {enabled: no}\ndb_service: {enabled: yes}\n',
    )
    const {code, stdout} = await as('operator', [...bootstrap, '-c', file, '--confirm'])
    expect(code).toBe(0)
    expect(stdout).toBe(`Reading configuration at "${file}"...\n\nThe agent needs no further permissions in AWS.\n`)
  })

  it('needs its configuration', async () => {
    const {code, stderr} = await runCli([...bootstrap, '-c', '/nonexistent/postern.yaml', '--manual'])
    expect(code).toBe(5)
    expect(stderr).toContain('/nonexistent/postern.yaml does not exist')
  })
})
