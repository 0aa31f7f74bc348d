import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {execFile} from 'node:child_process'
import {chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {promisify} from 'node:util'
import {cleanEnvironment, cli, runCli, runShell, type Finished} from '../helpers/cli.js'
import {createGuideRole, startTestAgent, startTestCluster, type TestCluster} from './cluster.js'

const run = promisify(execFile)
let directory: string
let bin: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-install-'))
  bin = join(directory, "it's bin")
  await cli(['install', 'aliases', '--dir', bin])
})

afterAll(() => rm(directory, {recursive: true}))

/** Runs a line with the launchers first on its PATH. */
const asTyped = (line: string, environment: NodeJS.ProcessEnv = {}): Promise<Finished> =>
  runShell(line, {environment: {...environment, PATH: `${bin}:${process.env.PATH ?? ''}`}})

const nowhere = {POSTERN_HOME: '/nonexistent/postern'}

describe('install aliases', () => {
  it('makes three launchers that anybody may run, and makes them again', async () => {
    const {stdout} = await runShell(`umask 077; postern install aliases --dir "${bin}" --format=json`)
    const {launchers} = JSON.parse(stdout) as {launchers: string[]}
    expect(launchers).toEqual(['tsh', 'tctl', 'teleport'].map((name) => join(bin, name)))
    expect((await readdir(bin)).sort()).toEqual(['tctl', 'teleport', 'tsh'])
    expect((await stat(join(bin, 'tsh'))).mode & 0o777).toBe(0o755)
  })

  it.each([
    ['a file', (path: string) => writeFile(path, '#!/bin/sh\n# somebody else\n')],
    ['a link to a launcher', (path: string) => symlink(join(bin, 'tctl'), path)],
    ['a directory', (path: string) => mkdir(path)],
  ])('leaves %s of another program alone, and writes nothing', async (_, make) => {
    const other = await mkdtemp(join(directory, 'other-'))
    await make(join(other, 'tctl'))
    const {code, stderr} = await runCli(['install', 'aliases', '--dir', other])
    expect({code, stderr}).toEqual({code: 6, stderr: expect.stringContaining('tctl is of another program')})
    expect(await readdir(other)).toEqual(['tctl'])
  })

  it('says what to do where it may not write', async () => {
    const file = join(directory, 'file')
    await writeFile(file, '')
    const {code, stderr} = await runCli(['install', 'aliases', '--dir', file])
    expect({code, stderr}).toEqual({code: 1, stderr: expect.stringContaining('cannot be written into')})
  })
})

describe('a name', () => {
  it.each([
    ['tsh', ['db', 'invite', 'proxy', 'login', 'logout', 'status'], ['tokens', 'users', 'start', 'install', 'create']],
    [
      'tctl',
      ['auth', 'db', 'tokens', 'users', 'create', 'get', 'rm', 'status'],
      ['login', 'proxy', 'start', 'install'],
    ],
    ['teleport', ['db', 'install', 'start'], ['login', 'tokens', 'status', 'quickstart', 'configure']],
  ])('%s shows its commands only', async (name, own, others) => {
    const {code, stdout} = await asTyped(`${name} --help`)
    expect(code).toBe(0)
    expect(stdout).toContain(`$ ${name} [COMMAND]`)
    for (const word of own) expect(stdout).toMatch(new RegExp(`^  ${word} `, 'm'))
    for (const word of others) expect(stdout).not.toMatch(new RegExp(`^  ${word} `, 'm'))
  })

  it.each([
    ['tsh db', ['db connect', 'db ls'], ['db configure', 'db servers']],
    ['tctl db --help', ['db ls'], ['db connect', 'db configure', 'db servers']],
    ['teleport db configure', ['db configure create', 'db configure bootstrap'], ['db ls']],
  ])('%s shows what is beneath', async (line, own, others) => {
    const {stdout} = await asTyped(line)
    for (const words of own) expect(stdout).toContain(`  ${words} `)
    for (const words of others) expect(stdout).not.toContain(words)
  })

  it('has its own version line, and help of its own for a command', async () => {
    expect((await asTyped('tctl --version')).stdout).toMatch(/^tctl \d/)
    expect((await asTyped('tctl db ls --help')).stdout).toContain('$ tctl db ls [LABELS]')
    expect((await asTyped('tctl help db ls')).stdout).toContain('with the agents that serve them')
    expect((await asTyped('tsh db ls --help')).stdout).toContain('databases you may connect to')
  })

  it.each([
    ['tsh tokens ls', 'It is `tctl tokens ls`.'],
    ['tctl db connect x', 'It is `tsh db connect x`.'],
    ['tsh start', 'It is `teleport start`.'],
    ['teleport quickstart', 'Run `teleport --help`'],
    ['tctl db configure', 'There is no command "db configure"'],
    ['tsh nonsense --help', 'There is no command "nonsense"'],
  ])('%s is not a command of it', async (line, said) => {
    const {code, stdout, stderr} = await asTyped(line, nowhere)
    expect({code, stdout}).toEqual({code: 2, stdout: ''})
    expect(stderr).toContain(said)
  })

  it('is in what errors tell people to type', async () => {
    for (const line of ['tsh db ls', 'tctl get role', 'tsh status']) {
      const {code, stderr} = await asTyped(line, nowhere)
      expect({line, code, stderr}).toEqual({line, code: 3, stderr: expect.stringContaining('`tsh login --proxy=HOST`')})
    }
    const {stderr} = await asTyped('teleport start')
    expect(stderr).toContain('/etc/teleport.yaml does not exist')
    expect(stderr).toContain('`teleport db configure create -o file`')
  })

  it('is not handed on to other programs', async () => {
    expect((await asTyped('tsh db connect x -- ; env | grep -c CALLED_AS', nowhere)).stdout).toBe('0\n')
    expect((await runCli(['status'], {environment: {...nowhere, POSTERN_CALLED_AS: '../x'}})).code).toBe(3)
  })
})

describe('with a cluster', () => {
  let cluster: TestCluster
  let stopAgent: () => Promise<unknown> = () => Promise.resolve()
  let alice: NodeJS.ProcessEnv
  let admin: NodeJS.ProcessEnv

  beforeAll(async () => {
    cluster = await startTestCluster()
    await createGuideRole(cluster)
    await cluster.addUser('alice', ['--roles=access,db'])
    stopAgent = await startTestAgent(cluster, [{name: 'aurora', labels: 'env: dev'}])
    await cluster.logIn('alice')
    alice = {POSTERN_HOME: join(cluster.directory, 'homes', 'alice')}
    admin = {...nowhere, POSTERN_CONFIG_FILE: cluster.configFile}
    const free = await cluster.admin(['create'], {
      input:
        'kind: db\nversion: v3\nmetadata: {name: nobodys, labels: {env: prod}}\nspec: {protocol: postgres, uri: "db.internal:5432"}\n',
    })
    expect(free.code).toBe(0)
  })

  afterAll(async () => {
    await stopAgent()
    await cluster.stop()
  })

  it('tctl status prints the three rows of the guides', async () => {
    const {version} = JSON.parse(await readFile('package.json', 'utf8')) as {version: string}
    expect(await asTyped('tctl status', admin)).toEqual({
      code: 0,
      stdout: `Cluster  example.com\nVersion  ${version}\nCA pin   ${cluster.caPin}\n${cluster.retention}\n`,
      stderr: '',
    })
  })

  it('tsh status is about the login', async () => {
    const {code, stdout} = await asTyped('tsh status', {...alice, POSTERN_CONFIG_FILE: cluster.configFile})
    expect(code).toBe(0)
    expect(stdout).toMatch(/^> Profile URL: .*\n {2}Logged in as: +alice\n/)
    expect(stdout).not.toContain('CA pin')
  })

  it('tctl db ls lists agents, tsh db ls what the user may reach', async () => {
    const {stdout: servers} = await asTyped('tctl db ls', admin)
    const [head = '', , aurora = '', nobodys = ''] = servers.split('\n')
    expect(head.split(/ +/)).toEqual(['Host', 'Name', 'Protocol', 'URI', 'Labels', 'Version', 'Health'])
    expect(aurora.split(/ +/).slice(1, 3)).toEqual(['aurora', 'postgres'])
    expect(nobodys).toMatch(/^ +nobodys +postgres +db\.internal:5432 env=prod +unclaimed$/)
    expect((await asTyped('tsh db ls', alice)).stdout).toMatch(/^Name +Description Labels\n/)

    const names = async (words: string): Promise<string[]> => {
      const {stdout} = await asTyped(`tctl db ls ${words} --format=json`, admin)
      return (JSON.parse(stdout) as {spec: {database: {metadata: {name: string}}}}[]).map(
        ({spec}) => spec.database.metadata.name,
      )
    }
    expect(await names('env=prod')).toEqual(['nobodys'])
    expect(await names('--status=unclaimed')).toEqual(['nobodys'])
    expect(await names('--search=AURORA')).toEqual(['aurora'])
    expect(await names('')).toEqual(['aurora', 'nobodys'])
  })

  it("the guides' jq line says which agents serve a database", async () => {
    const {code, stdout} = await asTyped(
      `tctl get db_server/aurora --format json | jq '.[] | {hostname: .spec.hostname, host_id: .spec.host_id, version: .spec.version, target_health: .status.target_health}'`,
      admin,
    )
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual({
      hostname: expect.stringMatching(/./),
      host_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      target_health: expect.objectContaining({
        address: expect.stringMatching(/:\d+$/),
        protocol: 'TCP',
        status: expect.stringMatching(/^(un)?(healthy|known)$/),
        transition_reason: expect.any(String),
      }),
    })
  })
})

describe('install systemd', () => {
  it('prints the unit', async () => {
    const program = process.argv[0] ?? ''
    expect(await asTyped('postern install systemd')).toEqual({
      code: 0,
      stderr: '',
      stdout: `[Unit]
Description=Postern Service
After=network.target

[Service]
Type=simple
Restart=always
RestartSec=5
EnvironmentFile=-/etc/default/postern
ExecStart=${program} ${join(process.cwd(), 'bin/run.js')} start --config /etc/postern.yaml --pid-file=/run/postern.pid
ExecReload=/bin/kill -HUP $MAINPID
PIDFile=/run/postern.pid
LimitNOFILE=524288

[Install]
WantedBy=multi-user.target
`,
    })
  })

  it('as teleport uses its files, and writes the unit where the guides say, once', async () => {
    const unit = join(directory, 'systemd/system/teleport.service')
    expect(await asTyped(`teleport install systemd -o ${unit}`)).toEqual({code: 0, stdout: '', stderr: ''})
    const text = await readFile(unit, 'utf8')
    expect(text).toContain('\nEnvironmentFile=-/etc/default/teleport\n')
    expect(text).toMatch(/\nExecStart=.* start --config \/etc\/teleport\.yaml --pid-file=\/run\/teleport\.pid\n/)
    expect((await stat(unit)).mode & 0o777).toBe(0o600)
    expect((await asTyped(`teleport install systemd -o ${unit}`)).code).toBe(6)
    // Node.js 20 would read that file itself and end when it is missing.
    const {stdout} = await asTyped('teleport install systemd --env-file=/nonexistent/teleport.env')
    expect(stdout).toContain('\nEnvironmentFile=-/nonexistent/teleport.env\n')
  })

  it('quotes what systemd would read otherwise', async () => {
    const {stdout} = await runCli(['install', 'systemd', '--postern-path=/opt/a b/$x%i"', '--environment-file=/etc/%n'])
    expect(stdout).toContain('\nExecStart="/opt/a b/$$x%%i\\"" start ')
    expect(stdout).toContain('\nEnvironmentFile=-/etc/%%n\n')
  })

  it.each([
    ['--environment-file=x'],
    ['--pid-file=a\nExecStart=/bin/sh'],
    ['--postern-path=postern'],
    ['--fd-limit=0'],
  ])('%j is a mistake of usage', async (flag) => {
    expect((await runCli(['install', 'systemd', flag])).code).toBe(2)
  })

  it('passes systemd-analyze verify, where there is systemd', async () => {
    const found = await run('systemd-analyze', ['--version']).catch(() => undefined)
    const unit = join(directory, 'checked.service')
    await cli(['install', 'systemd', '-o', unit])
    await chmod(unit, 0o644)
    if (!found) {
      process.stderr.write('not checked: systemd-analyze verify, for there is no systemd-analyze\n')
      return
    }
    const {stderr} = await run('systemd-analyze', ['verify', unit], {env: cleanEnvironment()})
    // It speaks about units of this machine too.
    expect(stderr.split('\n').filter((line) => line.includes('checked.service'))).toEqual([])
  })
})
