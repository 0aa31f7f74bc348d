import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {execFile} from 'node:child_process'
import {mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {promisify} from 'node:util'
import {renderInstallScript} from '../../src/lib/auth/install-script.js'
import {startTestCluster, type TestCluster} from '../commands/cluster.js'
import {runShell, type Finished} from '../helpers/cli.js'

let cluster: TestCluster
let directory: string
let version: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-install-script-'))
  version = (JSON.parse(await readFile('package.json', 'utf8')) as {version: string}).version
  cluster = await startTestCluster()
}, 300_000)

afterAll(async () => {
  await cluster.stop()
  await rm(directory, {recursive: true})
})

const install = (after: string, environment: NodeJS.ProcessEnv = {}): Promise<Finished> =>
  runShell(`curl -sk "https://${cluster.proxy}/scripts/install.sh" | ${after}`, {
    environment: {POSTERN_PREFIX: join(directory, 'prefix'), HOME: directory, ...environment},
  })

it('the line of the guides installs this program, and the launchers', async () => {
  const {code, stdout, stderr} = await install('bash')
  const bin = join(directory, 'prefix/bin')
  expect({code, stderr, stdout}).toEqual({
    code: 0,
    stderr: '',
    stdout: `Postern ${version} has been installed in ${bin}.\n`,
  })
  expect((await readdir(bin)).sort()).toEqual(['postern', 'tctl', 'teleport', 'tsh'])
  for (const name of ['postern', 'tsh', 'teleport']) {
    expect((await runShell(`'${bin}/${name}' version`)).stdout).toBe(`Postern v${version} node ${process.version}\n`)
  }
  // The parts that are loaded late are there too: the control plane and the AWS SDK.
  const config = join(directory, 'cluster.yaml')
  await writeFile(
    config,
    'version: v3\npostern: {proxy_server: "p:443"}\nauth_service: {enabled: no}\nproxy_service: {enabled: no}\n',
  )
  expect((await runShell(`'${bin}/postern' db configure bootstrap --manual -c '${config}'`)).code).toBe(0)
  const modules = join(directory, 'prefix/lib/node_modules/postern/node_modules')
  const loads = ['libsql', 'fastify', 'kysely', '@aws-sdk/client-iam', '@peculiar/x509', 'pg', 'inquirer']
  const load = `
    import {createRequire} from 'node:module'
    const {resolve} = createRequire('${modules}/../package.json')
    await import('reflect-metadata')
    for (const name of ${JSON.stringify(loads)}) await import(resolve(name))
    console.log('loaded')`
  const {stdout: loaded} = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', load])
  expect(loaded).toBe('loaded\n')
  for (const name of loads) expect(await readdir(join(modules, name))).toContain('package.json')
  expect(await readdir(modules)).not.toContain('jest')
}, 600_000)

it.each([
  ['bash -s v{version} oss', 7],
  ['bash -s {version} cloud', 7],
  ['bash -s v0.0.1 oss', 1],
  ['bash -s {version} nonsense', 1],
])('with arguments: %s', async (line, code) => {
  // Whoever comes to this npm was let through.
  const path = await mkdtemp(join(directory, 'npm-'))
  await writeFile(join(path, 'npm'), '#!/bin/sh\nexit 7\n', {mode: 0o755})
  const {PATH = ''} = process.env
  const finished = await install(line.replace('{version}', version), {PATH: `${path}:${PATH}`})
  expect(finished.code).toBe(code)
})

it('refuses an older Node.js, and a download that is not the one', async () => {
  const {stdout: text} = await runShell(`curl -sk "https://${cluster.proxy}/scripts/install.sh"`)
  const old = await mkdtemp(join(directory, 'old-'))
  await writeFile(join(old, 'node'), `#!/bin/sh\n[ "$1" = --version ] && { echo v20.18.0; exit; }\nexit 1\n`, {
    mode: 0o755,
  })
  const refused = await runShell('bash -s', {input: text, environment: {PATH: `${old}:${process.env.PATH ?? ''}`}})
  expect(refused).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('needs Node.js 20.19 or newer; this is v20.18.0'),
  })

  const prefix = join(directory, 'never')
  const tampered = text.replace(/checksum='[0-9a-f]{64}'/, `checksum='${'0'.repeat(64)}'`)
  const wrong = await runShell('sh -s', {input: tampered, environment: {POSTERN_PREFIX: prefix}})
  expect(wrong).toMatchObject({code: 1, stderr: expect.stringContaining('nothing was installed')})
  await expect(readdir(prefix)).rejects.toThrow('ENOENT')
})

it('is a script that sh accepts, and shellcheck where there is one', async () => {
  const file = join(directory, 'install.sh')
  const {stdout: text} = await runShell(`curl -sk "https://${cluster.proxy}/scripts/install.sh"`)
  await writeFile(file, text)
  await promisify(execFile)('sh', ['-n', file])
  const checked = await runShell(`command -v shellcheck >/dev/null || exit 42; shellcheck '${file}'`)
  if (checked.code === 42) process.stderr.write('not checked: shellcheck, for there is none\n')
  else expect(checked).toEqual({code: 0, stdout: '', stderr: ''})
})

it.each([
  [{version: "1.0.0'; rm -rf /"}],
  [{version: '1.0.0$(id)'}],
  [{address: {host: 'a;b', port: 443}}],
  [{address: {host: 'a$(id)', port: 443}}],
  [{address: {host: "a'b", port: 443}}],
  [{sha256: 'x'.repeat(64)}],
])('holds nothing that a shell would read: %j', (change) => {
  const good = {version: '1.0.0-rc.1', address: {host: 'postern.example.com', port: 443}, sha256: '0'.repeat(64)}
  expect(renderInstallScript(good)).toContain('https://postern.example.com:443/scripts/postern-1.0.0-rc.1.tgz')
  expect(() => renderInstallScript({...good, ...change})).toThrow('is not fit for a shell script')
})
