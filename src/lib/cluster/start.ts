/**
 * Composes the services that a configuration names into one running process:
 *
 *   auth ──► accepts what the proxy splices; in one process by a function call
 *   proxy ─► joins (a token of its own in one process), listens, follows the directory of agents
 *   db ────► joins through the proxy, serves databases through the tunnel
 *   discovery ► joins through the proxy, registers the databases that it finds in AWS
 */
import {readFile} from 'node:fs/promises'
import {WatchClient} from '../api/watch-client.js'
import {parseConnectAddresses} from '../config/connect-addresses.js'
import {readToken} from '../config/join.js'
import type {Config} from '../config/settings.js'
import {PosternError} from '../core/errors.js'
import {keepHeapSmall, letHeapGrow} from '../core/heap-growth.js'
import {Secret} from '../core/secret.js'
import {workerCount} from '../core/worker-pool.js'
import type {Agent} from '../agent/options.js'
import type {Auth} from '../auth/options.js'
import type {Discovery} from '../discovery/discovery.js'
import type {Proxy} from '../proxy/options.js'
import {formatAddress, type Address} from '../resources/endpoint.js'
import {startDiagnostics, type Diagnostics, type Readiness} from './diagnostics.js'
import {gaugesOf, type Services} from './gauges.js'
import {openHost, openHostBehindProxy, type Cleanup, type StartOptions} from './host-opening.js'
import {ProxyDirectory} from './proxy-directory.js'
import {SpliceReports} from './splice-reports.js'

export interface Cluster {
  readonly auth: Auth | undefined
  readonly proxy: Proxy | undefined
  readonly agent: Agent | undefined
  readonly discovery: Discovery | undefined
  readonly diagnostics: Diagnostics | undefined
  /** Takes no new sessions, lets running ones end until the deadline, then closes everything. */
  stop(drainMilliseconds: number): Promise<void>
}

/**
 * Starts the services that are enabled.
 * @throws PosternError when one cannot start; the others are closed again
 */
export async function startCluster(options: StartOptions): Promise<Cluster> {
  const {config, logger} = options
  for (const warning of config.warnings) logger.warn(warning)
  if (config.authService.enabled) letHeapGrow()
  else keepHeapSmall()
  const cleanups: Cleanup[] = []
  const undo = async (): Promise<void> => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  }
  const state: Services = {auth: undefined, proxy: undefined, agent: undefined, discovery: undefined}
  try {
    let diagnostics: Diagnostics | undefined
    if (config.diagAddr) {
      diagnostics = await startDiagnostics({
        listen: config.diagAddr,
        readiness: () => readinessOf(config, state),
        gauges: gaugesOf(state),
        logger,
      })
      cleanups.push(() => diagnostics?.close() ?? Promise.resolve())
    }
    if (config.authService.enabled) state.auth = await runAuth(options, cleanups)
    if (config.proxyService.enabled) state.proxy = await runProxy(options, state.auth, cleanups)
    if (config.dbService.enabled) state.agent = await runAgent(options, state, cleanups)
    if (config.discoveryService.enabled) state.discovery = await runDiscovery(options, state, cleanups)
    return {
      ...state,
      diagnostics,
      stop: async (drainMilliseconds) => {
        await Promise.all([state.agent?.drain(drainMilliseconds), state.proxy?.drain(drainMilliseconds)])
        await undo()
      },
    }
  } catch (error) {
    await undo()
    throw error
  }
}

async function runAuth(options: StartOptions, cleanups: Cleanup[]): Promise<Auth> {
  const {startAuth} = await import('../auth/auth.js')
  const {config, version, environment = process.env, logger, clock} = options
  const {authService} = config
  const httpsKeypairs = await Promise.all(
    authService.httpsKeypairs.map(async ({certFile, keyFile}) => ({
      certificate: await readKeypairFile(certFile),
      privateKey: new Secret(await readKeypairFile(keyFile)),
    })),
  )
  const staticTokens = await Promise.all(
    authService.staticTokens.map(async ({roles, source}) => ({roles, token: await readToken(source)})),
  )
  const auth = await startAuth({
    dataDir: config.dataDir,
    cluster: authService.clusterName,
    listen: authService.listenAddr,
    publicAddresses: publicAddresses(config),
    httpsKeypairs,
    staticTokens,
    defaultSessionTtlMilliseconds: authService.defaultSessionTtl,
    settings: authService.settings,
    retention: authService.retention,
    version,
    environment,
    logger: logger.with({service: 'auth'}),
    clock,
  })
  cleanups.push(() => auth.close())
  logger.info('The Auth Service is up.', {address: formatAddress(auth.address), cluster: auth.cluster})
  return auth
}

/** Where people and agents reach the proxy, first the one that is printed. */
function publicAddresses({authService, proxyService}: Config): readonly Address[] {
  if (proxyService.publicAddrs.length > 0) return proxyService.publicAddrs
  if (authService.publicAddrs.length > 0) return authService.publicAddrs
  const {host, port} = proxyService.webListenAddr
  const anywhere = host === '0.0.0.0' || host === '::'
  return [{host: anywhere ? authService.clusterName : host, port}]
}

async function readKeypairFile(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    throw new PosternError('INVALID', `The file ${path} of https_keypairs cannot be read.`, {cause: error})
  })
}

async function runProxy(options: StartOptions, auth: Auth | undefined, cleanups: Cleanup[]): Promise<Proxy> {
  const {config, logger: parentLogger, clock} = options
  const logger = parentLogger.with({service: 'proxy'})
  const authAddress = auth?.address ?? config.authServer
  if (!authAddress) {
    throw new PosternError('INVALID', 'A proxy on a host of its own needs the address of the Auth Service.', {
      hint: 'Set auth_server, auth_token and ca_pin in the configuration.',
    })
  }
  const host = await openHost(options, {service: 'proxy', address: authAddress, auth, logger, cleanups})
  const directory = new ProxyDirectory()
  const watch = new WatchClient({
    client: host.api,
    clock,
    logger,
    onStart: () => {
      directory.start()
    },
    onEvent: (event) => {
      directory.apply(event)
    },
  })
  cleanups.push(() => watch.close())
  const splices = new SpliceReports({api: host.api, logger})
  cleanups.push(() => splices.close())
  const {startProxy} = await import('../proxy/proxy.js')
  const proxy = await startProxy({
    cluster: host.cluster,
    listen: config.proxyService.webListenAddr,
    proxyId: host.hostId,
    credentials: host.credentials,
    hostAuthorities: host.hostAuthorities,
    upstream: auth
      ? {
          kind: 'local',
          accept: (socket, head) => {
            auth.accept(socket, head)
          },
        }
      : {kind: 'address', ...authAddress},
    agentsFor: directory.agentsFor,
    mayServe: directory.mayServe,
    onSplice: (splice) => {
      splices.add(splice)
    },
    workers: workerCount(config.proxyService.workers),
    logger,
    clock,
  })
  cleanups.push(() => proxy.close())
  logger.info('The Proxy Service is up.', {address: formatAddress(proxy.address)})
  return proxy
}

async function runAgent(options: StartOptions, services: Services, cleanups: Cleanup[]): Promise<Agent> {
  const {config, version, environment = process.env, logger: parentLogger, clock} = options
  const logger = parentLogger.with({service: 'db'})
  const {host, proxyAddress} = await openHostBehindProxy(options, services, {service: 'db', logger, cleanups})
  const {startAgent} = await import('../agent/agent.js')
  const {dbService} = config
  const agent = await startAgent({
    cluster: host.cluster,
    hostId: host.hostId,
    hostname: config.nodename,
    version,
    credentials: host.credentials,
    hostAuthorities: host.hostAuthorities,
    api: host.api,
    proxyAddress,
    databases: dbService.databases.map(({resource}) => resource),
    selectors: dbService.resources.map(({labels}) => labels),
    dataDir: config.dataDir,
    cacheTtlMilliseconds: dbService.cacheTtl,
    maxStaleMilliseconds: dbService.maxStale,
    allowLoopback: dbService.allowLoopback,
    awsRules: {
      roles: dbService.resources.flatMap(({labels, assumeRoleArn, externalId}) =>
        assumeRoleArn === undefined ? [] : [{labels, assumeRoleArn, externalId}],
      ),
      allowedRoles: dbService.allowedAssumeRoles,
    },
    discovery: {matchers: dbService.aws},
    iamPolicy: dbService.iamPolicy,
    connectAddresses: new Map([...dbService.connectAddresses, ...parseConnectAddresses(environment.POSTERN_RESOLVE)]),
    environment,
    workers: workerCount(dbService.workers),
    endpoint: host.endpoint,
    direct: dbService.direct,
    logger,
    clock,
  })
  cleanups.push(() => agent.close())
  logger.info('The Database Service is up.', {proxy: formatAddress(proxyAddress), host_id: host.hostId})
  return agent
}

async function runDiscovery(options: StartOptions, services: Services, cleanups: Cleanup[]): Promise<Discovery> {
  const {config, environment = process.env, logger: parentLogger, clock} = options
  const logger = parentLogger.with({service: 'discovery'})
  const {host} = await openHostBehindProxy(options, services, {service: 'discovery', logger, cleanups})
  const {Aws} = await import('../aws/aws.js')
  const {startDiscovery} = await import('../discovery/discovery.js')
  const {aws: matchers, discoveryGroup: group = '', pollInterval: pollMilliseconds} = config.discoveryService
  const aws = new Aws({environment, clock})
  const discovery = startDiscovery({
    api: host.api,
    list: (scope) => aws.list(scope),
    matchers,
    group,
    pollMilliseconds,
    logger,
  })
  cleanups.push(() => discovery.close())
  logger.info('The Discovery Service is up.', {group, matchers: matchers.length})
  return discovery
}

/** The worst of the enabled services. */
function readinessOf(config: Config, {auth, proxy, agent, discovery}: Services): Readiness {
  const {authService, proxyService, dbService, discoveryService} = config
  const missing =
    (authService.enabled && !auth) ||
    (proxyService.enabled && !proxy) ||
    (dbService.enabled && !agent) ||
    (discoveryService.enabled && !discovery)
  if (missing) return 'starting'
  return (agent && !agent.ready()) || (discovery && !discovery.ready()) ? 'degraded' : 'ok'
}
