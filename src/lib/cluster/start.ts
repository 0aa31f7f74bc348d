/**
 * Composes the services that a configuration names into one running process:
 *
 *   auth ──► accepts what the proxy splices; in one process by a function call
 *   proxy ─► joins (a token of its own in one process), listens, follows the directory of agents
 *   db ────► joins through the proxy, serves databases through the tunnel
 *   discovery ► joins through the proxy, registers the databases that it finds in AWS
 */
import {readFile} from 'node:fs/promises'
import {contactCluster} from '../api/contact.js'
import type {Endpoint} from '../api/transport.js'
import {WatchClient} from '../api/watch-client.js'
import {parseConnectAddresses} from '../config/connect-addresses.js'
import {resolvePins, readToken, resolveToken} from '../config/join.js'
import type {Config} from '../config/settings.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import {letHeapGrow} from '../core/heap-growth.js'
import type {Logger} from '../core/log.js'
import {Secret} from '../core/secret.js'
import {workerCount} from '../core/worker-pool.js'
import type {Agent} from '../agent/agent.js'
import type {Auth} from '../auth/auth.js'
import type {Discovery} from '../discovery/discovery.js'
import type {Proxy} from '../proxy/options.js'
import {formatAddress, type Address} from '../resources/endpoint.js'
import {lockDataDirectory} from './data-directory-lock.js'
import {startDiagnostics, type Diagnostics, type Readiness} from './diagnostics.js'
import {gaugesOf, type Services} from './gauges.js'
import {HostIdentity, type HostOptions} from './host-identity.js'
import {ProxyDirectory} from './proxy-directory.js'
import {SpliceReports} from './splice-reports.js'

export interface StartOptions {
  readonly config: Config
  /** Of this program. */
  readonly version: string
  /** Overrides the configuration's join token. */
  readonly token?: Secret | undefined
  /** Extra roots for the first contact with the cluster. */
  readonly caFile?: string | undefined
  readonly rootsFile?: string | undefined
  /** What the agent knows of AWS by variables; those of the process unless told. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined
  readonly logger: Logger
  readonly clock: Clock
  /** Gives up a start that is still waiting, for example for a cluster that cannot be reached. */
  readonly signal?: AbortSignal
}

export interface Cluster {
  readonly auth: Auth | undefined
  readonly proxy: Proxy | undefined
  readonly agent: Agent | undefined
  readonly discovery: Discovery | undefined
  readonly diagnostics: Diagnostics | undefined
  /** Takes no new sessions, lets running ones end until the deadline, then closes everything. */
  stop(drainMilliseconds: number): Promise<void>
}

/** What has to be undone at the end, last first. */
type Cleanup = () => Promise<void>

/**
 * Starts the services that are enabled.
 * @throws PosternError when one cannot start; the others are closed again
 */
export async function startCluster(options: StartOptions): Promise<Cluster> {
  const {config, logger} = options
  for (const warning of config.warnings) logger.warn(warning)
  letHeapGrow()
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
  const {config, version, logger: parentLogger, clock} = options
  const logger = parentLogger.with({service: 'proxy'})
  const authAddress = auth?.address ?? config.authServer
  if (!authAddress) {
    throw new PosternError('INVALID', 'A proxy on a host of its own needs the address of the Auth Service.', {
      hint: 'Set auth_server, auth_token and ca_pin in the configuration.',
    })
  }
  cleanups.push(await lockDataDirectory(config.dataDir, 'proxy'))
  const host = await HostIdentity.open({
    dataDir: config.dataDir,
    systemRole: 'Proxy',
    version,
    nodename: config.nodename,
    token: auth ? () => Promise.resolve(new Secret(auth.issueInternalToken('Proxy'))) : () => joinToken(options),
    ...(!auth && joinsByIam(options) && {prove: prover(options)}),
    firstContact: () => firstContact(options, authAddress, auth),
    address: authAddress,
    clock,
    logger,
    ...(options.signal ? {signal: options.signal} : {}),
  })
  cleanups.push(() => host.close())
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

async function runAgent(options: StartOptions, {auth, proxy}: Services, cleanups: Cleanup[]): Promise<Agent> {
  const {config, version, environment = process.env, logger: parentLogger, clock} = options
  const logger = parentLogger.with({service: 'db'})
  const proxyAddress = proxy ? reachable(proxy.address) : config.proxyServer
  if (!proxyAddress) {
    throw new PosternError('INVALID', 'The Database Service needs the address of a proxy.', {
      hint: 'Set proxy_server in the configuration.',
    })
  }
  const local = auth && proxy ? auth : undefined
  cleanups.push(await lockDataDirectory(config.dataDir, 'db'))
  const host = await HostIdentity.open({
    dataDir: config.dataDir,
    systemRole: 'Db',
    version,
    nodename: config.nodename,
    token: local ? () => Promise.resolve(new Secret(local.issueInternalToken('Db'))) : () => joinToken(options),
    ...(!local && joinsByIam(options) && {prove: prover(options)}),
    firstContact: () => firstContact(options, proxyAddress, local),
    address: proxyAddress,
    clock,
    logger,
    ...(options.signal ? {signal: options.signal} : {}),
  })
  cleanups.push(() => host.close())
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
  logger.info('The Database Service is up.', {proxy: formatAddress(proxyAddress), hostId: host.hostId})
  return agent
}

async function runDiscovery(options: StartOptions, {auth, proxy}: Services, cleanups: Cleanup[]): Promise<Discovery> {
  const {config, version, environment = process.env, logger: parentLogger, clock} = options
  const logger = parentLogger.with({service: 'discovery'})
  const proxyAddress = proxy ? reachable(proxy.address) : config.proxyServer
  if (!proxyAddress) {
    throw new PosternError('INVALID', 'The Discovery Service needs the address of a proxy.', {
      hint: 'Set proxy_server in the configuration.',
    })
  }
  const local = auth && proxy ? auth : undefined
  cleanups.push(await lockDataDirectory(config.dataDir, 'discovery'))
  const host = await HostIdentity.open({
    dataDir: config.dataDir,
    systemRole: 'Discovery',
    version,
    nodename: config.nodename,
    token: local ? () => Promise.resolve(new Secret(local.issueInternalToken('Discovery'))) : () => joinToken(options),
    ...(!local && joinsByIam(options) && {prove: prover(options)}),
    firstContact: () => firstContact(options, proxyAddress, local),
    address: proxyAddress,
    clock,
    logger,
    ...(options.signal ? {signal: options.signal} : {}),
  })
  cleanups.push(() => host.close())
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

async function joinToken({config, token}: StartOptions): Promise<Secret | undefined> {
  return token ?? (await resolveToken(config))
}

/** A token on the command line is a secret, whatever the file says. */
const joinsByIam = ({config, token}: StartOptions): boolean => config.joinMethod === 'iam' && token === undefined

function prover({environment = process.env, clock}: StartOptions): NonNullable<HostOptions['prove']> {
  return async (binding) => {
    const {proveIdentity} = await import('../aws/identity-proof.js')
    return proveIdentity(binding, {environment, clock})
  }
}

/** With the pins of the Auth Service in this process, or with the trust that the configuration gives. */
async function firstContact(options: StartOptions, address: Address, auth: Auth | undefined): Promise<Endpoint> {
  const pins = auth ? auth.caPins() : await resolvePins(options.config)
  const {host, port} = auth ? reachable(auth.address) : address
  const {endpoint} = await contactCluster(host, port, {pins, caFile: options.caFile, rootsFile: options.rootsFile})
  return endpoint
}

/** A listening address as one that this machine can dial. */
function reachable({host, port}: Address): Address {
  if (host === '0.0.0.0') return {host: '127.0.0.1', port}
  return host === '::' ? {host: '::1', port} : {host, port}
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
