import {mkdir, readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {parseConfig} from '../../src/lib/config/file.js'
import {cli, freePort} from '../helpers/cli.js'
import {addPerson, guideRole} from '../helpers/three-hosts.js'
import {assemble, type Path, type Place} from './path.js'
import {startDaemon, type Daemon} from './programs.js'

export interface ClusterOptions {
  /** Worker processes of proxy and agent each. */
  readonly workers?: number
  /** The agent listens itself, and clients go there first. */
  readonly direct?: boolean
  /** Emulated distance between laptop and proxy, and between proxy and agent: milliseconds there and back. */
  readonly distance?: number
  /** The way in for clients: the port for GUI clients and drivers, or the private socket of --exec and db connect. */
  readonly entrance?: 'port' | 'socket'
  /** How sessions are recorded; the default is `node`. */
  readonly recording?: string
}

const program = fileURLToPath(new URL('../../../bin/run.js', import.meta.url))
export const databaseName = 'bench'
/** Idle connections and their TLS sessions are not given up between two samples. */
const account = ['--db-user=alice', '--db-name=postgres', databaseName]

/** Whether this version knows a key of the configuration. */
export function knows(section: 'auth_service' | 'proxy_service' | 'db_service', setting: string): boolean {
  const sections = {auth_service: '{enabled: no}', proxy_service: '{enabled: no}', db_service: '{enabled: no}'}
  const others = Object.entries({...sections, [section]: `{enabled: yes, ${setting}}`})
  const cluster = section === 'db_service' ? 'proxy_server' : 'auth_server'
  const text = ['version: v3', `postern: {auth_token: x, ${cluster}: 127.0.0.1}`]
  try {
    parseConfig([...text, ...others.map(([key, value]) => `${key}: ${value}`)].join('\n'), {name: 'probe'})
    return true
  } catch {
    return false
  }
}

/** `workers: 1` where that can be said, so that a default never makes one path out of two. */
const workerSetting = (section: 'proxy_service' | 'db_service', workers: number): string =>
  knows(section, 'workers: 1') ? `, workers: ${workers}` : ''

/**
 * Control plane, proxy and agent as three processes with three configuration files, a user who is logged in, and the
 * user's local proxy; audit on.
 */
export async function startPostern(
  {directory, database, nodeFlags}: Place,
  options: ClusterOptions = {},
): Promise<Path> {
  const {workers = 1, direct = false, distance = 0, entrance = 'port', recording} = options
  return assemble(async (parts) => {
    const start = async (file: string, text: string): Promise<Daemon> => {
      const path = join(directory, file)
      await writeFile(path, text)
      const daemon = await startDaemon(process.execPath, [...nodeFlags, program, 'start', '-c', path, '--drain=1s'], {
        ready: /Postern is ready/,
      })
      parts.push(daemon)
      return daemon
    }
    await mkdir(directory, {recursive: true})
    const [authPort, proxyPort] = [await freePort(), await freePort()]
    const announced = distance > 0 ? await startDistance(parts, proxyPort, distance) : proxyPort
    const proxy = `127.0.0.1:${announced}`

    const recordingSetting = recording === undefined ? '' : `, session_recording: '${recording}'`
    const control = await start(
      'auth.yaml',
      `version: v3
postern: {data_dir: '${directory}/auth'}
auth_service: {enabled: yes, cluster_name: bench.example.com, listen_addr: '127.0.0.1:${authPort}', public_addr: '${proxy}'${recordingSetting}}
proxy_service: {enabled: no}
`,
    )
    const admin = ['--config', join(directory, 'auth.yaml')]
    const caPin = /sha256:[0-9a-f]{64}/.exec(await cli(['status', ...admin]))?.[0] ?? ''
    const token = (type: string): Promise<string> =>
      cli(['tokens', 'add', `--type=${type}`, '--format=text', ...admin]).then((text) => text.trim())

    const proxyService = await start(
      'proxy.yaml',
      `version: v3
postern: {data_dir: '${directory}/proxy', auth_server: '127.0.0.1:${authPort}', auth_token: ${await token('proxy')}, ca_pin: ${caPin}}
auth_service: {enabled: no}
proxy_service: {enabled: yes, web_listen_addr: '127.0.0.1:${proxyPort}', public_addr: '${proxy}'${workerSetting('proxy_service', workers)}}
`,
    )

    const signed = join(directory, 'signed')
    await cli(['auth', 'sign', '--format=db', '--host=localhost', `--out=${signed}`, ...admin])
    await database.trust(await readFile(`${signed}.cas`, 'utf8'))
    const directSetting = direct ? `, direct_addr: '127.0.0.1:${await freePort()}'` : ''
    const agent = await start(
      'agent.yaml',
      `version: v3
postern: {data_dir: '${directory}/agent', proxy_server: '${proxy}', auth_token: ${await token('db')}, ca_pin: ${caPin}}
auth_service: {enabled: no}
proxy_service: {enabled: no}
db_service:
  {enabled: yes, databases: [{name: ${databaseName}, protocol: postgres, uri: 'localhost:${database.port}', tls: {ca_cert_file: '${database.tls.authority}'}}]${workerSetting('db_service', workers)}${directSetting}}
`,
    )

    await cli(['create', ...admin], {input: guideRole})
    const homes = {proxy, caPin, admin, person: (name: string) => ({POSTERN_HOME: join(directory, 'homes', name)})}
    const person = await addPerson(homes, 'alice')
    const local = await startLocal(person, entrance, nodeFlags)
    parts.push(local.daemon)
    return {
      endpoint: {host: local.host, port: local.port, user: 'alice', database: 'postgres'},
      processes: {
        ...{local: local.daemon.pid, proxy: proxyService.pid, agent: agent.pid},
        'control plane': control.pid,
      },
      person,
    }
  })
}

async function startDistance(parts: {stop(): Promise<void>}[], target: number, distance: number): Promise<number> {
  const file = fileURLToPath(new URL('delay-relay.js', import.meta.url))
  const words = [file, String(target), String(distance / 2)]
  const relay = await startDaemon(process.execPath, words, {ready: /^listening on \d+$/m})
  parts.push(relay)
  return Number(/\d+/.exec(relay.output())?.[0])
}

interface Local {
  readonly daemon: Daemon
  readonly host: string
  readonly port: number
}

async function startLocal(
  environment: NodeJS.ProcessEnv,
  entrance: 'port' | 'socket',
  nodeFlags: readonly string[],
): Promise<Local> {
  const words = [...nodeFlags, program, 'proxy', 'db', '--tunnel', ...account]
  if (entrance === 'port') {
    const daemon = await startDaemon(process.execPath, [...words, '--port=0', '--format=json'], {
      environment,
      ready: /"port": \d+/,
    })
    return {daemon, host: '127.0.0.1', port: Number(/"port": (\d+)/.exec(daemon.output())?.[1])}
  }
  const stay = 'printf "%s %s\\n" "socket $PGHOST" "$PGPORT"; exec sleep 2147483'
  const daemon = await startDaemon(process.execPath, [...words, '--exec', '--', 'sh', '-c', stay], {
    environment,
    ready: /^socket \S+ \d+$/m,
  })
  const [, host = '', port] = /^socket (\S+) (\d+)$/m.exec(daemon.output()) ?? []
  return {daemon, host, port: Number(port)}
}

/** `postern db connect` with psql's own words, as a user types it. */
export const connectCommand = (psqlWords: readonly string[]): readonly string[] => [
  program,
  'db',
  'connect',
  ...account,
  '--',
  ...psqlWords,
]

/** A command of the built program. */
export const posternCommand = (words: readonly string[]): readonly string[] => [program, ...words]
