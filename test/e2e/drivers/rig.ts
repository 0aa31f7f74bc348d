import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {Logger} from '../../../src/lib/core/log.js'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {startLocalProxy} from '../../../src/lib/localproxy/local-proxy.js'
import {libpqVariables} from '../../../src/lib/cli/direct-mode.js'
import {databaseServerName} from '../../../src/lib/resources/route.js'
import {cleanEnvironment, type Finished} from '../../helpers/cli.js'
import {startTestPostgres} from '../../helpers/postgres.js'
import {cluster, Plane} from '../../lib/agent/plane.js'
import {database, serverCertificate, startRig, type Rig} from '../../lib/agent/rig.js'
import {definitions} from './types.js'

/** A way from a driver to the database. */
export interface Way {
  readonly name: 'directly' | 'by certificate' | 'by local proxy'
  readonly host: string
  readonly port: number
  /** For drivers of Node; the server name is the route. */
  readonly ssl?: {readonly ca: string; readonly cert: string; readonly key: string; readonly servername: string}
  /** For libpq. */
  readonly environment: NodeJS.ProcessEnv
}

export interface DriverRig extends Rig {
  readonly postgres: PostgresServer
  readonly ways: readonly Way[]
  /** What the agent logged as an error. */
  readonly defects: string[]
  stop(): Promise<void>
}

/** A database that takes alice without TLS and the agent with it, and three ways to it. */
export async function startDriverRig(): Promise<DriverRig> {
  const plane = await Plane.create()
  const postgres = await startTestPostgres({
    tls: {...(await serverCertificate(plane)), clientAuthorities: plane.dbClient.certificate},
    hbaLines: ['hostssl all all 127.0.0.1/32 cert', 'hostnossl all all 127.0.0.1/32 trust'],
    settings: {max_connections: 60},
  })
  await postgres.execute(definitions)
  const defects: string[] = []
  const rig = await startRig({plane, uri: `127.0.0.1:${postgres.port}`, agent: {logger: errorsTo(defects)}})
  const guest = await rig.guest()
  const directory = await mkdtemp(join(tmpdir(), 'postern-drivers-'))
  const files = {ca: plane.host.certificate, crt: guest.certificate, key: guest.privateKey.reveal()}
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text, {mode: 0o600})
  const upstream = {
    proxy: rig.proxy.address,
    cluster,
    hostAuthorities: [plane.host.certificate],
    credentials: guest,
    agents: [rig.agent.hostId],
  }
  const local = await startLocalProxy({
    listen: {kind: 'loopback', port: 0},
    source: {current: () => Promise.resolve(upstream), refreshed: () => Promise.resolve(upstream)},
    keepSpares: true,
  })
  const plain = (port: number): NodeJS.ProcessEnv =>
    cleanEnvironment({
      ...{PGHOST: '127.0.0.1', PGPORT: String(port), PGUSER: 'alice', PGDATABASE: 'postgres'},
      PGSSLMODE: 'disable',
    })
  const servername = databaseServerName(database, cluster)
  const {host, port} = rig.proxy.address
  const ways: Way[] = [
    {name: 'directly', host: postgres.host, port: postgres.port, environment: plain(postgres.port)},
    {
      ...{name: 'by certificate', host, port},
      ssl: {ca: files.ca, cert: files.crt, key: files.key, servername},
      environment: cleanEnvironment(
        libpqVariables({
          ...{name: database, host: servername, hostaddr: host, port, user: 'alice', database: 'postgres'},
          ...{ca: join(directory, 'ca'), cert: join(directory, 'crt'), key: join(directory, 'key')},
        }),
      ),
    },
    {name: 'by local proxy', host: '127.0.0.1', port: local.port, environment: plain(local.port)},
  ]
  return {
    ...rig,
    postgres,
    ways,
    defects,
    stop: async () => {
      await local.close()
      await rig.stop()
      await postgres.stop()
      await rm(directory, {recursive: true})
    },
  }
}

function errorsTo(defects: string[]): Logger {
  const nothing = (): void => undefined
  const logger: Logger = {
    debug: nothing,
    info: nothing,
    warn: nothing,
    error: (message, fields) => defects.push(`${message} ${JSON.stringify(fields)}`),
    with: () => logger,
  }
  return logger
}

/**
 * Runs a program that comes from a package of Debian.
 * @throws Error naming the package when it is missing
 */
export async function runProgram(
  {
    program,
    words = [],
    debian,
  }: {readonly program: string; readonly words?: readonly string[]; readonly debian: string},
  environment: NodeJS.ProcessEnv,
  input = '',
): Promise<Finished> {
  const child = spawn(program, words, {env: environment})
  const missing = new Promise<never>((_resolve, reject) => {
    child.once('error', (error) => {
      reject(new Error(`${program} is missing: install the Debian package ${debian}`, {cause: error}))
    })
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdin.on('error', () => undefined).end(input)
  const [code] = (await Promise.race([once(child, 'close'), missing])) as [number | null]
  return {code, stdout, stderr}
}
