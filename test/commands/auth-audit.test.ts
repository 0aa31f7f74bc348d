import {createPrivateKey, X509Certificate} from 'node:crypto'
import {readFile, stat, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import type {Finished} from '../helpers/cli.js'
import {password, startTestCluster, type TestCluster} from './cluster.js'

let cluster: TestCluster

beforeAll(async () => {
  cluster = await startTestCluster()
})

afterAll(async () => {
  await cluster.stop()
})

const role = (name: string, user: string): string =>
  `kind: role\nversion: v3\nmetadata: {name: ${name}}\nspec: {allow: {db_users: [${user}]}}\n`

describe('auth', () => {
  it('sign --format=db writes key, certificate and what to verify agents with', async () => {
    const out = join(cluster.directory, 'server')
    const words = ['auth', 'sign', '--format=db', '--host=db.example.com,10.0.0.5', `--out=${out}`, '--ttl=2190h']
    const {code, stdout} = await cluster.admin(words)
    expect(code).toBe(0)
    expect(stdout).toContain(`Database credentials have been written to ${out}.key, ${out}.crt, ${out}.cas.`)
    const certificate = new X509Certificate(await readFile(`${out}.crt`))
    expect(certificate.subjectAltName).toBe('DNS:db.example.com, IP Address:10.0.0.5')
    expect(certificate.checkPrivateKey(createPrivateKey(await readFile(`${out}.key`)))).toBe(true)
    expect((await stat(`${out}.key`)).mode & 0o777).toBe(0o600)
    const client = await cluster.admin(['auth', 'export', '--type=db-client'])
    expect((await readFile(`${out}.cas`, 'utf8')).trim()).toBe(client.stdout.trim())
    expect((await cluster.admin(words)).code).toBe(6)
    expect((await cluster.admin([...words, '--overwrite'])).code).toBe(0)
  })

  it('sign --format=file makes an identity that needs nothing else', async () => {
    await cluster.addUser('ci', ['--roles=access,editor'])
    const out = join(cluster.directory, 'ci.pem')
    const {code} = await cluster.admin(['auth', 'sign', '--user=ci', `--out=${out}`, '--ttl=1h'])
    expect(code).toBe(0)
    expect((await cluster.as('nobody', ['users', 'ls', `--identity=${out}`])).stdout).toMatch(/^ci +access,editor$/m)
    const byVariable = await cluster.as('nobody', ['db', 'ls'], {environment: {POSTERN_IDENTITY_FILE: out}})
    expect(byVariable.code).toBe(0)
    // And the Auth Service itself takes it, without the proxy.
    const direct = ['status', `--identity=${out}`, `--auth-server=${cluster.authServer}`]
    expect((await cluster.as('nobody', direct)).stdout).toMatch(/^Cluster {2}example\.com$/m)
  })

  it('renew gives an identity file more time when an administrator allowed that', async () => {
    const [out, fixed] = [join(cluster.directory, 'renewable.pem'), join(cluster.directory, 'fixed.pem')]
    const sign = (file: string, ...flags: string[]): Promise<Finished> =>
      cluster.admin(['auth', 'sign', '--user=ci', `--out=${file}`, '--ttl=1h', ...flags])
    const signed = await sign(out, '--renewable=720h')
    expect(signed.stdout).toMatch(/; it is valid until \S+, and can be renewed until \S+\.\n$/)
    const before = await readFile(out, 'utf8')
    const renewed = await cluster.as('nobody', ['auth', 'renew', out, '--format=json'])
    expect(JSON.parse(renewed.stdout)).toMatchObject({user: 'ci', file: out, expires: expect.stringMatching(/Z$/)})
    expect(await readFile(out, 'utf8')).not.toBe(before)
    expect((await stat(out)).mode & 0o777).toBe(0o600)
    expect((await cluster.as('nobody', ['users', 'ls', `--identity=${out}`])).code).toBe(0)
    await sign(fixed)
    const kept = await readFile(fixed, 'utf8')
    const refused = await cluster.as('nobody', ['auth', 'renew', fixed])
    expect(refused).toMatchObject({code: 4, stderr: expect.stringContaining('This identity cannot be renewed.')})
    expect(await readFile(fixed, 'utf8')).toBe(kept)
  })

  it('sign says which flag is missing', async () => {
    const out = `--out=${join(cluster.directory, 'x')}`
    expect((await cluster.admin(['auth', 'sign', '--format=db', out])).stderr).toContain('--host is missing')
    expect((await cluster.admin(['auth', 'sign', '--format=file', out])).stderr).toContain('--user is missing')
  })

  it('export prints certificates, never keys', async () => {
    const {stdout} = await cluster.admin(['auth', 'export', '--type=tls-host'])
    expect(new X509Certificate(stdout).ca).toBe(true)
    expect(stdout).not.toContain('PRIVATE')
  })
})

describe('audit ls', () => {
  it('prints what happened, the newest last, and filters', async () => {
    await cluster.admin(['users', 'add', '--roles=access', 'frank'])
    await cluster.admin(['create', '-f'], {input: role('audited', 'a')})
    const {stdout} = await cluster.admin(['audit', 'ls'])
    expect(stdout).toMatch(/^Time +Event +User +Code +Details$/m)
    expect(stdout.indexOf('name=frank')).toBeLessThan(stdout.indexOf('name=audited'))
    const words = ['audit', 'ls', '--event=user.create', '--from=1h', '--format=json']
    const events = JSON.parse((await cluster.admin(words)).stdout) as {event: string; code: string; time: string}[]
    expect(events.length).toBeGreaterThan(0)
    expect(new Set(events.map(({event, code}) => `${event} ${code}`))).toEqual(new Set(['user.create T1002I']))
    expect(events.map(({time}) => time)).toEqual(events.map(({time}) => time).sort())
    expect(JSON.parse((await cluster.admin([...words, '--limit=1'])).stdout)).toHaveLength(1)
    expect(JSON.parse((await cluster.admin(['audit', 'ls', '--to=2001-01-01', '--format=json'])).stdout)).toEqual([])
    expect((await cluster.admin(['audit', 'ls', '--from=yesterday'])).code).toBe(2)
    expect((await cluster.admin(['audit', 'ls', '--session=307b'])).code).toBe(2)
  })

  it('shows no password', async () => {
    expect((await cluster.admin(['audit', 'ls', '--format=json'])).stdout).not.toContain(password)
  })
})

describe('status', () => {
  it('on the control plane prints the cluster as the guides do, and how long it keeps the audit', async () => {
    const {code, stdout, stderr} = await cluster.admin(['status'])
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    expect(stdout).toBe(`Cluster  example.com\nVersion  0.1.0\nCA pin   ${cluster.caPin}\n${cluster.retention}\n`)
    const {stdout: json} = await cluster.admin(['status', '--format=json'])
    expect(JSON.parse(json)).toMatchObject({
      cluster: {name: 'example.com', retention: {events: '400d', recordings: '90d'}},
    })
  })

  it('for a configuration that was named and is not there says so', async () => {
    expect((await cluster.as('nobody', ['status', '--config=/nonexistent/postern.yaml'])).code).toBe(5)
  })

  it('for a control plane that is not ours says whose it is to ask', async () => {
    const file = join(cluster.directory, 'other.yaml')
    const data = join(cluster.directory, 'other')
    await writeFile(
      file,
      `version: v3\npostern: {data_dir: '${data}'}\nauth_service: {enabled: yes, cluster_name: other.example.com}\n`,
    )
    const {code, stderr} = await cluster.as('nobody', ['status', `--config=${file}`])
    expect(code).toBe(1)
    expect(stderr).toContain(`${data}/admin-identity.pem`)
    expect(stderr).toContain('as root')
  })
})
