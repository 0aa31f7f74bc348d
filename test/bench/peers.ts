/** The other ways to a database that people use, each with as few settings as make it comparable. */
import {chown, copyFile, mkdir, writeFile} from 'node:fs/promises'
import {userInfo} from 'node:os'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {accountForRoot} from '../../src/lib/cluster/postgres-account.js'
import {freePort} from '../helpers/cli.js'
import type {Endpoint} from './endpoint.js'
import {assemble, type PathDefinition, type Place} from './path.js'
import {findProgram, run, startDaemon, type Daemon} from './programs.js'

const plain = (port: number): Endpoint => ({host: '127.0.0.1', port, user: 'peer', database: 'postgres'})

async function missingProgram(...names: string[]): Promise<string | undefined> {
  for (const name of names)
    if (!(await findProgram(name))) return `${name} is not installed (npm run bench -- --install)`
  return undefined
}

async function program(name: string): Promise<string> {
  const path = await findProgram(name)
  if (!path) throw new Error(`${name} is not installed`)
  return path
}

const direct: PathDefinition = {
  name: 'direct',
  description: 'straight to PostgreSQL, TLS, no password: what the ratios refer to',
  missing: () => Promise.resolve(undefined),
  start: ({database}) => Promise.resolve({endpoint: database.direct, processes: {}, stop: () => Promise.resolve()}),
}

const pgbouncer: PathDefinition = {
  name: 'pgbouncer',
  description:
    'one process, TLS on both sides; it keeps server connections, so its connects fork no PostgreSQL process',
  missing: () => missingProgram('pgbouncer'),
  start: ({directory, database}) =>
    assemble(async (parts) => {
      const port = await freePort()
      // It refuses to run as root, like PostgreSQL.
      const account = await accountForRoot()
      const files = ['server.crt', 'server.key', 'authority.crt', 'pgbouncer.ini'].map((name) => join(directory, name))
      const [certificate = '', key = '', authority = '', file = ''] = files
      await copyFile(database.tls.certificate, certificate)
      await copyFile(database.tls.key, key)
      await copyFile(database.tls.authority, authority)
      await writeFile(
        file,
        `[databases]
postgres = host=127.0.0.1 port=${database.port} dbname=postgres user=peer
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = session
max_client_conn = 1000
default_pool_size = 400
client_tls_sslmode = require
client_tls_cert_file = ${certificate}
client_tls_key_file = ${key}
server_tls_sslmode = verify-full
server_tls_ca_file = ${authority}
log_connections = 0
log_disconnections = 0
`,
      )
      if (account) for (const path of [directory, ...files]) await chown(path, account.uid, account.gid)
      const daemon = await startDaemon(await program('pgbouncer'), [file], {account, ready: port})
      parts.push(daemon)
      return {endpoint: {...database.direct, port}, processes: {pgbouncer: daemon.pid}}
    }),
}

interface Stunnel {
  readonly name: string
  readonly listen: number
  readonly target: number
  readonly side: 'client' | 'server'
}

async function startStunnel({directory, database}: Place, {name, listen, target, side}: Stunnel): Promise<Daemon> {
  const {tls} = database
  const file = join(directory, `${name}.conf`)
  const trust =
    side === 'client'
      ? `client = yes\nverifyChain = yes\nCAfile = ${tls.authority}\ncheckHost = localhost`
      : `cert = ${tls.certificate}\nkey = ${tls.key}`
  await writeFile(
    file,
    `foreground = yes
pid =
debug = warning
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[postgres]
accept = 127.0.0.1:${listen}
connect = 127.0.0.1:${target}
sslVersion = TLSv1.3
${trust}
`,
  )
  return startDaemon(await program('stunnel'), [file], {ready: listen})
}

const stunnel: PathDefinition = {
  name: 'stunnel',
  description: 'two processes, one encrypted hop; PostgreSQL in the clear',
  missing: () => missingProgram('stunnel'),
  start: (place) =>
    assemble(async (parts) => {
      const [near, far] = [await freePort(), await freePort()]
      const server = await startStunnel(place, {
        name: 'server',
        listen: far,
        target: place.database.port,
        side: 'server',
      })
      parts.push(server)
      const client = await startStunnel(place, {name: 'client', listen: near, target: far, side: 'client'})
      parts.push(client)
      return {endpoint: plain(near), processes: {near: client.pid, far: server.pid}}
    }),
}

const chain: PathDefinition = {
  name: 'c-chain',
  description: 'stunnel, haproxy, stunnel: three processes in C as ours are three; PostgreSQL in the clear',
  missing: () => missingProgram('stunnel', 'haproxy'),
  start: (place) =>
    assemble(async (parts) => {
      const [near, middle, far] = [await freePort(), await freePort(), await freePort()]
      const server = await startStunnel(place, {
        name: 'server',
        listen: far,
        target: place.database.port,
        side: 'server',
      })
      parts.push(server)
      const haproxy = await startHaproxy(place, middle, far)
      parts.push(haproxy)
      const client = await startStunnel(place, {name: 'client', listen: near, target: middle, side: 'client'})
      parts.push(client)
      return {endpoint: plain(near), processes: {near: client.pid, haproxy: haproxy.pid, far: server.pid}}
    }),
}

const copyHop = fileURLToPath(new URL('copy-hop.js', import.meta.url))

const nodeChain: PathDefinition = {
  name: 'node-chain',
  description: 'three Node processes that only copy, TLS where Postern has it: what the runtime costs',
  missing: () => Promise.resolve(undefined),
  start: ({database, nodeFlags}) =>
    assemble(async (parts) => {
      const {certificate, key, authority} = database.tls
      const processes: Record<string, number> = {}
      let target = database.port
      for (const side of ['far', 'middle', 'near']) {
        const words = [...nodeFlags, copyHop, side, String(target), certificate, key, authority]
        const daemon = await startDaemon(process.execPath, words, {ready: /listening on \d+/})
        parts.push(daemon)
        processes[side] = daemon.pid
        target = Number(/listening on (\d+)/.exec(daemon.output())?.[1])
      }
      return {endpoint: plain(target), processes}
    }),
}

async function startHaproxy({directory}: Place, listen: number, target: number): Promise<Daemon> {
  const file = join(directory, 'haproxy.cfg')
  await writeFile(
    file,
    `global
  maxconn 4000
  nbthread 1
defaults
  mode tcp
  option splice-auto
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen postgres
  bind 127.0.0.1:${listen}
  server one 127.0.0.1:${target}
`,
  )
  return startDaemon(await program('haproxy'), ['-db', '-f', file], {ready: listen})
}

const ssh: PathDefinition = {
  name: 'ssh',
  description: 'ssh -L; PostgreSQL in the clear',
  missing: () => missingProgram('sshd', 'ssh', 'ssh-keygen'),
  start: ({directory, database}) =>
    assemble(async (parts) => {
      const [near, far] = [await freePort(), await freePort()]
      const sshd = await startSshd(directory, far)
      parts.push(sshd)
      const words = ['-F', '/dev/null', '-N', '-p', String(far), '-i', join(directory, 'user')]
      const settings = [
        'StrictHostKeyChecking=no',
        'UserKnownHostsFile=/dev/null',
        'ExitOnForwardFailure=yes',
        'BatchMode=yes',
        'IdentitiesOnly=yes',
      ]
      const forward = ['-L', `127.0.0.1:${near}:127.0.0.1:${database.port}`]
      const client = await startDaemon(
        await program('ssh'),
        [...words, ...settings.flatMap((setting) => ['-o', setting]), ...forward, `${userInfo().username}@127.0.0.1`],
        {ready: near},
      )
      parts.push(client)
      return {endpoint: plain(near), processes: {ssh: client.pid, sshd: sshd.pid}}
    }),
}

/** A server of our own, for this user and this key alone. */
async function startSshd(directory: string, port: number): Promise<Daemon> {
  for (const name of ['host', 'user']) {
    await run(await program('ssh-keygen'), ['-q', '-t', 'ed25519', '-N', '', '-f', join(directory, name)])
  }
  const isRoot = process.getuid?.() === 0
  // Where it locks itself in before a sign-in; the service's own script makes it otherwise.
  if (isRoot) await mkdir('/run/sshd', {recursive: true, mode: 0o755})
  const file = join(directory, 'sshd_config')
  await writeFile(
    file,
    `ListenAddress 127.0.0.1
Port ${port}
HostKey ${join(directory, 'host')}
AuthorizedKeysFile ${join(directory, 'user.pub')}
PidFile none
StrictModes no
UsePAM ${isRoot ? 'yes' : 'no'}
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowUsers ${userInfo().username}
AllowTcpForwarding local
`,
  )
  return startDaemon(await program('sshd'), ['-D', '-e', '-f', file], {ready: port})
}

export const peers: readonly PathDefinition[] = [direct, pgbouncer, stunnel, ssh, chain, nodeChain]

/** What the peers and the clients come in. */
export const debianPackages: Readonly<Record<string, string>> = {
  psql: 'postgresql-client',
  pgbench: 'postgresql-contrib',
  pgbouncer: 'pgbouncer',
  stunnel: 'stunnel4',
  haproxy: 'haproxy',
  ssh: 'openssh-client',
  sshd: 'openssh-server',
}
