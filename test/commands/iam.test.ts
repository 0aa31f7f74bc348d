import {AssumeRoleCommand, STSClient} from '@aws-sdk/client-sts'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import type {PostgresServer} from '../../src/lib/cluster/postgres.js'
import {agentFileHead} from '../helpers/agent-file.js'
import {cleanEnvironment, runCli, type Finished} from '../helpers/cli.js'
import {waitFor} from '../helpers/psql.js'
import {query, realPostgres, refusalOf, startOpenPostgres, tokenFor} from '../lib/sandbox/databases.js'
import {abroad, allow, home, policy, region, startRig, trust, type Credentials, type Rig} from '../lib/sandbox/rig.js'

const suffix = `abcdefghijklm.${region}.rds.amazonaws.com:5432`
const primary = `aurora.cluster-${suffix}`
const createIam = ['db', 'configure', 'aws', 'create-iam']
const bootstrap = ['db', 'configure', 'bootstrap']
const many = Array.from({length: 120}, (_, index) => `orders-${index}`)
/** As many policies as a role may have. */
const parts = Array.from({length: 10}, (_, index) => `Part-${index}`)
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
            {
              name: 'maker',
              inline: {make: allow(['iam:*Policy', 'iam:ListPolicyVersions', 'rds:Describe*', 'sts:*'], '*')},
              boundary: 'Made',
            },
            {
              name: 'clumsy',
              inline: {
                make: allow(['iam:Get*', 'iam:List*', 'iam:CreatePolicy*', 'iam:TagPolicy', 'sts:*']),
                back: allow(['iam:SetDefaultPolicyVersion', 'iam:DeletePolicyVersion']),
              },
            },
            {
              name: 'attacher',
              inline: {
                make: allow(['iam:GetPolicy', 'iam:CreatePolicy', 'iam:TagPolicy', 'iam:AttachUserPolicy', 'sts:*']),
              },
            },
            {name: 'agent', inline: {start: allow('sts:AssumeRole', arn('agent'))}},
          ],
          roles: [
            {name: 'agent', path: '/services/', trust: trust({AWS: home})},
            {name: 'rds', trust: trust({AWS: home})},
            {name: 'admin', path: '/people/', trust: trust({AWS: home}), inline: {all: allow('*')}},
            {name: 'blind', trust: trust({AWS: home})},
            {name: 'late', trust: trust({AWS: home})},
            {name: 'patient', trust: trust({AWS: home})},
            {name: 'far-from-all', trust: trust({AWS: home})},
            {name: 'bounded', trust: trust({AWS: home}), boundary: 'Bounds'},
            {name: 'full', trust: trust({AWS: home}), attached: parts},
          ],
          policies: [
            {name: 'Foreign', document: allow('s3:GetObject')},
            {
              name: 'Made',
              document: policy(
                {Effect: 'Allow', Action: '*', Resource: '*'},
                {Effect: 'Deny', Action: 'iam:AttachUserPolicy', Resource: '*'},
              ),
            },
            {name: 'Bounds', document: allow('rds:*')},
            ...parts.map((name) => ({name, document: allow('s3:GetObject')})),
          ],
          instances: many.map((id) => ({id, region})),
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
    `${agentFileHead}  databases:
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

  it('does nothing when nothing differs, and says so', async () => {
    const run = () =>
      as('operator', [...createIam, '--types=rds', '--name=Same', '--role=/services/agent', '--confirm'])
    expect(await run()).toMatchObject({code: 0})
    const {grants} = rig.sandbox.world.accounts.get(home)?.roles.get('agent') ?? {}
    const before = [policyOf('Same')?.versions.length, grants?.latest.attached]
    expect(await run()).toEqual({
      code: 0,
      stdout: 'AWS has all of these permissions already: there is nothing to do.\n',
      stderr: '',
    })
    expect([policyOf('Same')?.versions.length, grants?.latest.attached]).toEqual(before)
    const {stdout} = await as('operator', [...createIam, '--types=rds', '--name=Same', '--role=late', '--confirm'])
    expect(stdout).toBe(
      `1. [${home}] Attach IAM policies to "late".\n\n✅[AWS] [${home}] Attach IAM policies to "late"... done.\n`,
    )
  })

  it('gives its policy new versions that differ, shows how, and makes room for the sixth', async () => {
    const make = (types: string) => as('operator', [...createIam, '--types', types, '--name=Versions', '--confirm'])
    for (const types of ['rds', 'redshift', 'rds', 'redshift', 'rds']) {
      expect(await make(types)).toMatchObject({code: 0, stderr: ''})
    }
    const {stdout} = await make('rdsproxy,rds')
    expect(stdout).toContain(`1. [${home}] Update IAM Policy "Versions":\n{`)
    expect(stdout).toContain('+ rds:DescribeDBProxies on *\n')
    expect(stdout).toContain(`✅[AWS] [${home}] Update IAM Policy "Versions"... done.`)
    expect((await make('rdsproxy')).stdout).toContain('- rds:ModifyDBCluster on *\n')
    const policy = policyOf('Versions')
    expect(policy?.versions.map(({id}) => id).sort()).toEqual(['v3', 'v4', 'v5', 'v6', 'v7'])
    expect(policy?.defaultVersion.latest).toMatchObject({id: 'v7'})
    expect(policy?.defaultVersion.latest.policy.text).toContain('rds:DescribeDBProxies')
  })

  it('leaves a policy alone that is not its own, and says so before anything is done', async () => {
    const {code, stdout, stderr} = await as('operator', [...createIam, '--types=rds', '--name=Foreign', '--confirm'])
    expect({code, stdout}).toEqual({code: 6, stdout: ''})
    expect(stderr).toContain(`The policy arn:aws:iam::${home}:policy/Foreign exists and has no tag "postern"`)
    expect(policyOf('Foreign')?.versions.length).toBe(1)
  })

  it('takes back what it did when a later step fails', async () => {
    const {code, stdout, stderr} = await as('maker', [...createIam, '--types=rds', '--name=Half', '--confirm'])
    expect(code).toBe(4)
    expect(stdout).toContain(`✅[AWS] [${home}] Create IAM Policy "Half"... done.`)
    expect(stdout).toContain(`❌[AWS] [${home}] Attach IAM policies to "maker"... failed.`)
    expect(stderr).toContain('Nothing is changed in AWS: what was done before was taken back.')
    expect(policyOf('Half')).toBeUndefined()
  })

  it('takes a new version back as well, and says what it cannot take back', async () => {
    await as('operator', [...createIam, '--types=rds', '--name=Back', '--role=late', '--confirm'])
    const attach = ['--role=far-from-all', '--confirm']
    const failed = await as('clumsy', [...createIam, '--types=rds,redshift', '--name=Back', ...attach])
    expect(failed).toMatchObject({code: 4})
    expect(policyOf('Back')?.versions.map(({id}) => id)).toEqual(['v1'])
    const stuck = await as('clumsy', [...createIam, '--types=rds', '--name=Stuck', ...attach])
    expect(stuck.code).toBe(4)
    expect(stuck.stderr).toContain('What was done before is still there.')
    expect(stuck.stderr).toMatch(/It could not be taken back: AccessDenied: .*iam:(ListPolicyVersions|DeletePolicy)/)
    expect(policyOf('Stuck')).toBeDefined()
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
    expect(policyOf('Refused')).toBeUndefined()
  })

  it('waits until AWS applies the change; with --no-wait it does not', async () => {
    const {switches} = rig.sandbox.world
    const delay = 4 * 60_000
    switches.propagationDelay = delay
    try {
      const words = [...createIam, '--types=redshift', '--role=patient', '--confirm']
      const hasty = await as('operator', [...words, '--name=Hasty', '--no-wait'])
      expect(hasty).toMatchObject({code: 0, stderr: ''})
      const looks = (): number => rig.answered('SimulatePrincipalPolicy')
      const before = looks()
      const patient = as('operator', [...words.with(-3, '--types=rds'), '--name=Patient'])
      // It has seen that nothing is in effect before that changes.
      await waitFor(() => looks() > before + 1 || undefined)
      rig.clock.ahead += delay
      const {code, stderr} = await patient
      expect(code).toBe(0)
      expect(stderr).toMatch(/Waiting until AWS applies the change: 0 of 5 permissions are in effect/)
      expect(stderr).toContain('All of them are in effect.')
    } finally {
      switches.propagationDelay = 0
      rig.clock.ahead = 0
    }
  })

  it('says what a boundary leaves without effect', async () => {
    const {code, stdout, stderr} = await as('operator', [
      ...createIam,
      '--types=rds',
      '--name=Bounded',
      '--role=bounded',
      '--confirm',
    ])
    expect(code).toBe(1)
    expect(stdout).toContain('Attach IAM policies to "bounded"... done.')
    expect(stderr).toContain('rds-db:connect on *: the permissions boundary does not allow it')
    expect(stderr).not.toContain('rds:DescribeDBInstances on *')
  })

  it('says when it may not see whether the change is in effect', async () => {
    const {code, stderr} = await as('attacher', [...createIam, '--types=rds', '--name=Unseen', '--confirm'])
    expect(code).toBe(0)
    expect(stderr).toContain('cannot be seen without iam:SimulatePrincipalPolicy')
  })

  it('refuses one policy more than AWS allows before anything is done', async () => {
    const {code, stdout, stderr} = await as('operator', [...createIam, '--types=rds', '--name=More', '--role=full'])
    expect({code, stdout}).toEqual({code: 2, stdout: ''})
    expect(stderr).toContain('--confirm')
    const refused = await as('operator', [...createIam, '--types=rds', '--name=More', '--role=full', '--confirm'])
    expect(refused).toMatchObject({code: 1, stdout: ''})
    expect(refused.stderr).toContain(`${arn('full')} would have 11 managed policies, and AWS allows 10`)
    expect(policyOf('More')).toBeUndefined()
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
      `${agentFileHead}  aws:
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

  const agentFor = (databases: readonly string[], role?: string): string =>
    `${agentFileHead}  databases:
${databases.map((id) => `  - {name: ${id}, protocol: postgres, uri: "${id}.${suffix}"${role ? `, aws: {assume_role_arn: "${role}"}` : ''}}`).join('\n')}
`

  it('E06: permissions on 120 databases are counted, split over policies, and applied whole or not at all', async () => {
    const file = join(directory, 'many.yaml')
    await writeFile(file, agentFor(many))
    const scoped = [...bootstrap, '-c', file, '--scope=databases', '--policy-name=Many', '--confirm']
    const target = ['--attach-to-role=far-from-all']
    const documents = () =>
      ['Many', 'Many-2'].map((name) => policyOf(name)?.defaultVersion.latest.policy.text.replaceAll(/\s/g, ''))

    const refused = await as('maker', [...scoped, '--attach-to-user=maker'])
    expect(refused).toMatchObject({code: 4})
    expect(refused.stdout).toContain('Create IAM Policy "Many-2"... done.')
    expect([policyOf('Many'), policyOf('Many-2')]).toEqual([undefined, undefined])

    const {code, stdout, stderr} = await as('operator', [...scoped, ...target])
    expect(code).toBe(0)
    expect(stderr).toMatch(
      /^The permissions have 9,\d{3} characters\. AWS allows 6,144 in a managed policy, .*10,240 for a role and 2,048 for a user: they are in 2 managed policies\.$/m,
    )
    expect(stdout).toContain('Attach IAM policies to "far-from-all"... done.')
    const [first = '', second = ''] = documents()
    expect(first.length).toBeLessThanOrEqual(6144)
    expect(second.length).toBeLessThanOrEqual(6144)
    const ids = rig.sandbox.world.accounts.get(home)?.instances.filter(({id}) => many.includes(id)) ?? []
    const allowed = (first + second).match(/arn:aws:rds-db:[^"]+/g)
    expect(allowed?.toSorted()).toEqual(
      ids.map(({resourceId}) => `arn:aws:rds-db:${region}:${home}:dbuser:${resourceId}/*`).toSorted(),
    )
    expect(first + second).not.toMatch(/rds-db:connect","Resource":"\*|ModifyDB/)

    await writeFile(file, agentFor(many.slice(0, 3)))
    const fewer = await as('operator', [...scoped, ...target])
    expect(fewer.stdout).toContain(`Remove IAM policy "Many-2" from "far-from-all"... done.`)
    expect(policyOf('Many-2')).toBeUndefined()
    expect(documents()[0]?.match(/arn:aws:rds-db:/g)).toHaveLength(3)
  })

  it('learns what AWS calls the databases of a role that has no permissions yet', async () => {
    const file = join(directory, 'scoped.yaml')
    await writeFile(file, agentFor(['orders-7'], arn('rds')))
    const words = [
      '--scope=databases',
      '--policy-name=Scoped',
      '--attach-to-role',
      arn('rds'),
      '--confirm',
      '-f',
      'json',
    ]
    const {code, stdout} = await as('operator', [...bootstrap, '-c', file, ...words])
    expect(code).toBe(0)
    const {resourceId} = rig.sandbox.world.accounts.get(home)?.instances.find(({id}) => id === 'orders-7') ?? {}
    expect(JSON.parse(stdout)).toMatchObject({
      actions: [
        {
          action: 'create-policy',
          characters: expect.any(Number),
          policy: {
            Statement: [
              {Action: ['rds:DescribeDBInstances', 'rds:DescribeDBClusters'], Resource: '*'},
              {Action: 'rds-db:connect', Resource: `arn:aws:rds-db:${region}:${home}:dbuser:${resourceId ?? ''}/*`},
            ],
          },
        },
        {action: 'attach-policy', policy_arns: [`arn:aws:iam::${home}:policy/Scoped`], target_arn: arn('rds')},
      ],
    })
    const manual = await runCli([
      ...bootstrap,
      '-c',
      file,
      '--manual',
      '--scope=databases',
      '--attach-to-role',
      arn('rds'),
    ])
    expect(manual.stdout).toContain(`"arn:aws:rds-db:${region}:${home}:dbuser:<resource-id>/*"`)
    expect(manual.stderr).toContain('Without AWS the resource id of a database is not known')
  })

  it('has the databases that matchers find now among them', async () => {
    const file = join(directory, 'matching.yaml')
    const matchers = `  aws:\n  - {types: [rds], regions: [${region}], tags: {team: [blue]}}\n  databases:`
    await writeFile(file, agentFor(['orders-1']).replace('  databases:', matchers))
    const {instances = []} = rig.sandbox.world.accounts.get(home) ?? {}
    instances.find(({id}) => id === 'orders-5')?.tags.set('team', 'blue')
    const words = ['--scope=databases', '--policy-name=Matching', '--attach-to-role=patient', '--confirm', '--no-wait']
    const {code, stderr} = await as('operator', [...bootstrap, '-c', file, ...words])
    expect(code).toBe(0)
    expect(stderr).toContain('Databases that matchers find later are not among these')
    const allowed = policyOf('Matching')?.defaultVersion.latest.policy.text.match(/dbuser:[^/]+/g)
    const ids = ['orders-5', 'orders-1'].map((name) => instances.find(({id}) => id === name)?.resourceId ?? '')
    expect(allowed).toEqual(ids.map((id) => `dbuser:${id}`))
  })

  it('names the database that AWS does not know, before anything is done', async () => {
    const file = join(directory, 'unknown.yaml')
    await writeFile(file, agentFor(['orders-1', 'nowhere']))
    const {code, stderr} = await as('operator', [...bootstrap, '-c', file, '--scope=databases', '--confirm'])
    expect(code).toBe(5)
    expect(stderr).toContain('What AWS calls the database "nowhere" cannot be found out')
  })

  it('lets an agent keep its own inline policy where its configuration says so', async () => {
    const file = join(directory, 'keeping.yaml')
    await writeFile(file, agentFor(['orders-1']).replace('  databases:', '  iam_policy: auto\n  databases:'))
    const words = ['--manual', '--attach-to-role', arn('agent'), '--format=json']
    expect(JSON.parse((await runCli([...bootstrap, '-c', file, ...words])).stdout)).toMatchObject({
      actions: [
        {
          policy: {
            Statement: [
              {Resource: '*'},
              {
                Action: ['iam:GetRolePolicy', 'iam:PutRolePolicy', 'iam:DeleteRolePolicy'],
                Resource: arn('agent'),
              },
            ],
          },
        },
        {action: 'attach-policy'},
      ],
    })
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
