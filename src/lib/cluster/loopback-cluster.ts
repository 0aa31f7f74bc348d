/** A control plane and a proxy on loopback, for trying things out. */
import {once} from 'node:events'
import {mkdir, writeFile} from 'node:fs/promises'
import {createServer, type AddressInfo, type Server} from 'node:net'
import {join} from 'node:path'
import {ApiClient} from '../api/client.js'
import type {Auth} from '../auth/options.js'
import {parseConfig} from '../config/file.js'
import {readIdentityFile} from '../config/identity-file.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {authServerName} from '../resources/route.js'
import {startCluster, type Cluster} from './start.js'

export interface LoopbackClusterOptions {
  /** Configuration and data go to its `control-plane`. */
  readonly directory: string
  readonly clusterName: string
  readonly version: string
  readonly logger: Logger
  readonly clock: Clock
}

export interface LoopbackCluster {
  /** The proxy's `host:port`. */
  readonly proxy: string
  readonly caPin: string
  /** Where administrators' commands find the cluster: the configuration of its Auth Service. */
  readonly configFile: string
  /** The control plane as its administrator. */
  readonly admin: ApiClient
  stop(): Promise<void>
}

const portAttempts = 5

/** @throws PosternError; what was started is stopped again */
export async function startLoopbackCluster(options: LoopbackClusterOptions): Promise<LoopbackCluster> {
  const {version, logger, clock} = options
  const home = join(options.directory, 'control-plane')
  const configFile = join(home, 'postern.yaml')
  await mkdir(home, {recursive: true, mode: 0o700})
  const {proxy, service} = await startOnPorts(async (proxy, authPort) => {
    const text = configOf(options.clusterName, home, proxy, authPort)
    await writeFile(configFile, text, {mode: 0o600})
    return startCluster({config: parseConfig(text, {name: configFile}), version, logger, clock})
  })
  try {
    if (!service.auth) throw new Error('the configuration enables the Auth Service')
    const admin = await adminClient(service.auth)
    const [caPin = ''] = service.auth.caPins()
    const stop = async (): Promise<void> => {
      await admin.close()
      await service.stop(0)
    }
    return {proxy, caPin, configFile, admin, stop}
  } catch (error) {
    await service.stop(0)
    throw error
  }
}

async function adminClient({adminIdentity, address, cluster}: Auth): Promise<ApiClient> {
  const identity = await readIdentityFile(adminIdentity)
  return new ApiClient({
    ...address,
    serverName: authServerName(cluster),
    authorities: identity.hostAuthorities,
    credentials: () => identity.credentials,
  })
}

interface Started {
  readonly proxy: string
  readonly service: Cluster
}

/** The proxy's address is written down before it listens, so ports are found first, and others when one is gone by then. */
async function startOnPorts(start: (proxy: string, authPort: number) => Promise<Cluster>): Promise<Started> {
  for (let attempt = 1; ; attempt += 1) {
    const [proxyPort, authPort] = await freePorts()
    const proxy = `127.0.0.1:${proxyPort}`
    try {
      return {proxy, service: await start(proxy, authPort)}
    } catch (error) {
      if (attempt === portAttempts || !isPortTaken(error)) throw error
    }
  }
}

const isPortTaken = (error: unknown): boolean =>
  error instanceof PosternError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'EADDRINUSE'

/** Two ports that are free now. */
async function freePorts(): Promise<[number, number]> {
  // Both are held until both are known: else the second may be the first again.
  const servers = [createServer(), createServer()] as const
  const find = async (server: Server): Promise<number> => {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return (server.address() as AddressInfo).port
  }
  try {
    return await Promise.all([find(servers[0]), find(servers[1])])
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  }
}

function configOf(clusterName: string, home: string, proxy: string, authPort: number): string {
  return `version: v3
postern:
  nodename: control-plane
  data_dir: ${JSON.stringify(join(home, 'data'))}
auth_service:
  enabled: yes
  listen_addr: 127.0.0.1:${authPort}
  cluster_name: ${clusterName}
proxy_service:
  enabled: yes
  web_listen_addr: ${proxy}
  public_addr: ${proxy}
db_service:
  enabled: no
`
}
