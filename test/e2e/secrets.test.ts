/**
 * F12: what is secret is written nowhere it does not belong. A whole working day with debug logs on: a host joins, people
 * are invited, log in, connect and cancel; then every log, audit event, file and command line is searched.
 */
import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {once} from 'node:events'
import {mkdtemp, readdir, readFile, rm, stat} from 'node:fs/promises'
import {connect, createServer, type AddressInfo} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {cli, runCli, runProcess} from '../helpers/cli.js'
import {argumentsOf, descendantsOf} from '../helpers/processes.js'
import {openLocalPort, psqlOn, waitFor} from '../helpers/psql.js'
import {guideRole, startThreeHosts, type ThreeHosts} from '../helpers/three-hosts.js'

const password = 'a-marked-password-4711'
const nextPassword = 'another-marked-password-4712'

let hosts: ThreeHosts
/** Of the programs under test. */
let temporary: string
const usualTemporary = process.env.TMPDIR
const nonces = new Set<string>()
const commandLines = new Set<string>()
const joinTokens: string[] = []
/** Tokens that set a password. */
const invites: string[] = []
let audit = ''

/** Forwards a port, and keeps the nonces of the agents' data connections. */
async function collectNonces(target: number): Promise<number> {
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1')
    client.on('error', () => upstream.destroy())
    upstream.on('error', () => client.destroy())
    client.once('data', (head: Buffer) => {
      const nonce = /^POSTERN\/1 [^\n]*\.([^.\n]+)\n/.exec(head.toString('latin1'))?.[1]
      if (nonce !== undefined) nonces.add(nonce)
    })
    client.pipe(upstream).pipe(client)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  return (server.address() as AddressInfo).port
}

/** Keeps the command lines of all processes that are ours while something goes on. */
async function watched<T>(work: Promise<T>): Promise<T> {
  // At once: read one after the other, a short-lived program would be gone before its turn.
  const timer = setInterval(() => {
    for (const pid of descendantsOf(process.pid)) commandLines.add(argumentsOf(pid).join('\0'))
  }, 50)
  try {
    return await work
  } finally {
    clearInterval(timer)
  }
}

const hasSeenPsql = (): boolean => [...commandLines].some((line) => /^([^\0]*\/)?psql\0.*pg_sleep/.test(line))

beforeAll(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'postern-day-'))
  process.env.TMPDIR = temporary
  hosts = await startThreeHosts({beforeProxy: collectNonces, flags: ['--debug', '--drain=1s']})
  const {admin, person, directory} = hosts
  for (const name of ['proxy-token', 'agent-token']) {
    joinTokens.push((await readFile(join(directory, name), 'utf8')).trim())
  }
  await cli(['create', ...admin], {input: guideRole})
  const environment = person('alice')
  const accept = async (answer: string, secret: string): Promise<void> => {
    const url = /https:\/\/\S+\/web\/(?:invite|reset)\/[0-9a-f]{32}/.exec(answer)?.[0] ?? ''
    invites.push(url.split('/').at(-1) ?? '')
    await cli(['invite', 'accept', url, '--password-stdin', `--ca-pin=${hosts.caPin}`], {input: `${secret}\n`})
  }
  await accept(await cli(['users', 'add', '--roles=access,db', 'alice', ...admin]), password)
  await accept(await cli(['users', 'reset', 'alice', ...admin]), nextPassword)
  const login = ['login', `--proxy=${hosts.proxy}`, '--user=alice', `--ca-pin=${hosts.caPin}`, '--password-stdin']
  const wrong = await watched(runProcess(login, {environment, input: `${password}\n`}))
  expect(wrong.code).not.toBe(0)
  expect(await watched(runProcess(login, {environment, input: `${nextPassword}\n`}))).toMatchObject({code: 0})
  const account = ['--db-user=alice', '--db-name=postgres', 'aurora']
  const connect = ['db', 'connect', ...account, '--', '-At', '-c', 'select pg_sleep(1)']
  // Again, if all of that second was too short to look, or the agent had not heard of alice.
  await waitFor(async () => {
    const {code} = await watched(runCli(connect, {environment}))
    return (code === 0 && hasSeenPsql()) || undefined
  })
  await cli(['db', 'login', ...account], {environment})
  const local = await watched(openLocalPort(environment))
  await watched(psqlOn(local, ['-c', 'select 1']).finished)
  await local.stop()
  // A token has no other name than its secret: what is done to one carries it in the path of a request.
  const spare = (await cli(['tokens', 'add', '--type=db', '--format=text', ...admin])).trim()
  joinTokens.push(spare)
  await cli(['get', `token/${spare}`, ...admin])
  await cli(['tokens', 'rm', spare, ...admin])
  await runCli(['tokens', 'rm', spare, ...admin])
  await cli(['logout'], {environment})
  audit = await waitFor(async () => {
    const events = await cli(['audit', 'ls', '--limit=1000', '--format=json', ...admin])
    return events.split('db.session.end').length > 2 ? events : undefined
  })
}, 180_000)

afterAll(async () => {
  await hosts.stop()
  if (usualTemporary === undefined) delete process.env.TMPDIR
  else process.env.TMPDIR = usualTemporary
  await rm(temporary, {recursive: true, force: true})
})

const logs = (): string =>
  Object.values(hosts.services)
    .map(({log}) => log())
    .join('\n')

/** Every file of the three hosts, of the people's homes, and what programs left in the temporary directory. */
async function allFiles(): Promise<{path: string; mode: number; text: string}[]> {
  const files: {path: string; mode: number; text: string}[] = []
  for (const root of [hosts.directory, temporary]) {
    for (const name of await readdir(root, {recursive: true})) {
      // An agent removes what the control plane has taken.
      const {mode} = (await stat(join(root, name)).catch(() => undefined)) ?? {}
      if (mode === undefined) continue
      const text = await readFile(join(root, name), 'latin1').catch(() => '')
      files.push({path: root === temporary ? `temporary/${name}` : name, mode, text})
    }
  }
  return files.filter(({text}) => text !== '')
}

function keyBodies(text: string): string[] {
  const pem = /-----BEGIN (?:EC )?PRIVATE KEY-----(?:\\n|\s)+([A-Za-z0-9+/=]{40,})/g
  return [...text.matchAll(pem)].map(([, body]) => body ?? '')
}

it('F12: the searched day was a real one: nonces, tokens and keys were there to be found', async () => {
  expect(nonces.size).toBeGreaterThan(4)
  expect([...joinTokens, ...invites].every((secret) => /^[0-9a-f]{32}$/.test(secret))).toBe(true)
  expect(new Set((await allFiles()).flatMap(({text}) => keyBodies(text))).size).toBeGreaterThan(5)
  expect(hosts.services.auth.log()).toContain(' DEBUG ')
  expect(hosts.services.proxy.log()).toContain(' DEBUG ')
  expect(audit).toContain('db.session.query')
  expect(hasSeenPsql()).toBe(true)
})

it('F12: logs, audit events and command lines hold no password, token, nonce or private key', async () => {
  const keys = (await allFiles()).flatMap(({text}) => keyBodies(text))
  const everywhere = {logs: logs(), audit, commandLines: [...commandLines].join('\n')}
  for (const [place, text] of Object.entries(everywhere)) {
    for (const secret of [password, nextPassword, ...joinTokens, ...invites, ...nonces, ...keys]) {
      expect({place, secret, found: text.includes(secret)}).toEqual({place, secret, found: false})
    }
    expect(text).not.toContain('PRIVATE KEY')
  }
})

it('F12: files hold no password, no link and no nonce; join tokens only where they were put, and in the storage', async () => {
  const tokenFiles = /^((proxy|agent)-token|auth\/backend\.sqlite(-wal|-shm)?)$/
  for (const {path, text} of await allFiles()) {
    for (const secret of [password, nextPassword, ...invites, ...nonces]) {
      expect({path, secret, found: text.includes(secret)}).toEqual({path, secret, found: false})
    }
    for (const secret of tokenFiles.test(path) ? [] : joinTokens) {
      expect({path, secret, found: text.includes(secret)}).toEqual({path, secret, found: false})
    }
  }
})

it('F12: private keys are in files of their owner alone', async () => {
  const withKeys = (await allFiles()).filter(({text}) => text.includes('PRIVATE KEY'))
  expect(withKeys.filter(({mode}) => (mode & 0o077) !== 0).map(({path}) => path)).toEqual([])
})
