/** A real PostgreSQL server of its own, from the binaries that npm brings along: for trying things out, and for tests. */
import {once} from 'node:events'
import {mkdir, mkdtemp, readFile, rm} from 'node:fs/promises'
import {createServer, type AddressInfo} from 'node:net'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {silentLogger, type Logger} from '../core/log.js'
import {accountForRoot, mayGetTo, temporaryDirectoryFor, type Account} from './postgres-account.js'
import {findBinaries, prepareBinaries} from './postgres-binaries.js'
import {giveTo, logFile, superuser, writeServerFiles, type ServerPlace, type ServerSetup} from './postgres-files.js'
import {failure, initializeData, startServer, type ServerProcess} from './postgres-process.js'
import {executeAsSuperuser, type Row, type StatementOptions} from './postgres-superuser.js'

export interface PostgresOptions extends ServerSetup {
  /**
   * Where data and log are kept; made when missing, used again when not. Without it, or when it is root's and
   * PostgreSQL's account may not enter it, they are in a temporary one that `stop` removes.
   */
  readonly directory?: string | undefined
  /** Default: any free port. */
  readonly port?: number | undefined
  /** The directory with PostgreSQL's bin, lib and share. Default: what npm installed. */
  readonly binaries?: string | undefined
  readonly logger?: Logger | undefined
}

export interface PostgresServer {
  readonly host: '127.0.0.1'
  readonly port: number
  /** A directory of sockets where whoever runs this process signs in as any user, and nobody else signs in. */
  readonly superuserSocketDir: string
  readonly superuser: typeof superuser
  /** Runs SQL as the superuser; the rows of its last statement. @throws PosternError FAILED */
  execute(sql: string, options?: StatementOptions): Promise<Row[]>
  /** Ends the sessions and the server, and removes what was temporary. */
  stop(): Promise<void>
}

const portAttempts = 5
const readyAttempts = 2000
/** Milliseconds. */
const readyInterval = 15

/**
 * Starts a server on 127.0.0.1 and waits until it answers. It ends with this process, however that ends.
 * @throws PosternError NOT_FOUND without binaries, FAILED when it does not start.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const temporary: string[] = []
  const removeTemporary = async (): Promise<void> => {
    await Promise.all(temporary.map((path) => rm(path, {recursive: true, force: true})))
  }
  try {
    const account = await accountForRoot()
    const binaries = await prepareBinaries(options.binaries ?? findBinaries(), account)
    if (binaries.temporary) temporary.push(binaries.temporary)
    const bin = join(binaries.directory, 'bin')
    const place = await preparePlace(options.directory, account, temporary)
    await writeServerFiles(place, options)
    await initializeData(bin, place)
    const {port, server} = await startOnPort(bin, place, {...options, temporary})
    const logger = (options.logger ?? silentLogger).with({port})
    logger.info('PostgreSQL is up.')
    return describe(place, port, async () => {
      await server.stop()
      await removeTemporary()
      logger.info('PostgreSQL has stopped.')
    })
  } catch (error) {
    await removeTemporary()
    throw error
  }
}

function describe(place: ServerPlace, port: number, end: () => Promise<void>): PostgresServer {
  let stopped: Promise<void> | undefined
  const address = {host: '127.0.0.1', port, superuserSocketDir: place.sockets, superuser} as const
  return {
    ...address,
    execute: (sql, options) => executeAsSuperuser(address, sql, options),
    stop: () => (stopped ??= end()),
  }
}

/** Socket paths hold at most 107 bytes (unix(7)), so sockets are never in the caller's directory. */
async function preparePlace(
  directory: string | undefined,
  account: Account | undefined,
  temporary: string[],
): Promise<ServerPlace> {
  const makeTemporary = async (): Promise<string> => {
    const path = await mkdtemp(join(await temporaryDirectoryFor(account), 'postern-pg-'))
    temporary.push(path)
    return path
  }
  if (directory !== undefined) await mkdir(directory, {recursive: true, mode: 0o700})
  const home = directory !== undefined && (await mayGetTo(directory, account)) ? directory : await makeTemporary()
  const sockets = await makeTemporary()
  await giveTo(account, home)
  await giveTo(account, sockets)
  return {home, sockets, account}
}

interface Started {
  readonly port: number
  readonly server: ServerProcess
}

/** PostgreSQL cannot be told to find a free port, so one is found for it, and another when it is gone by then. */
async function startOnPort(
  bin: string,
  place: ServerPlace,
  options: PostgresOptions & {readonly temporary: readonly string[]},
): Promise<Started> {
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await freePort())
    const server = await startServer(bin, place, port, options)
    if (await answers(server, place, port)) return {port, server}
    const isTaken = (await readFile(logFile(place), 'utf8')).includes('Address already in use')
    if (options.port !== undefined || !isTaken || attempt === portAttempts) {
      throw await failure(place, `PostgreSQL did not start on 127.0.0.1:${port}.`)
    }
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const {port} = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}

/** Whether a real sign-in succeeds; false when the server has ended instead, or never answers. */
async function answers(server: ServerProcess, {sockets}: ServerPlace, port: number): Promise<boolean> {
  for (let attempt = 0; attempt < readyAttempts && server.isRunning(); attempt += 1) {
    try {
      await executeAsSuperuser({superuserSocketDir: sockets, port}, 'SELECT 1')
      return true
    } catch {
      await sleep(readyInterval)
    }
  }
  await server.stop()
  return false
}
