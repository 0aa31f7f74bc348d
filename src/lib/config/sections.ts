import type {LogLevel} from '../core/log.js'
import {parseAddress, type Address} from '../resources/endpoint.js'
import type {SettingsSpecs} from '../resources/resource.js'
import {isClusterName} from '../resources/route.js'
import {connectKey} from './connect-addresses.js'
import {readStaticToken, tokenSource} from './join.js'
import {defaultCacheTtl, defaultMaxStale, instanceKey, type Running} from './rules.js'
import {
  defaultAuthPort,
  defaultProxyPort,
  type ConfigFile,
  type InstanceSection,
  type MatcherSection,
} from './schema.js'
import {
  defaultDataDir,
  type AuthServiceSettings,
  type AwsMatcher,
  type Config,
  type DbServiceSettings,
  type DiscoveryServiceSettings,
  type KeypairFiles,
  type LogSettings,
  type ProxyServiceSettings,
  type StaticDatabase,
} from './settings.js'

const defaultSessionTtl = 12 * 3_600_000
const defaultPollInterval = 5 * 60_000
const everyHost = '0.0.0.0'

/** What is not in the file itself. */
export interface Surroundings {
  readonly running: Running
  readonly databases: readonly StaticDatabase[]
  readonly hostname: string
  readonly warnings: readonly string[]
}

/** A checked file with its defaults filled in. */
export function readSettings(file: ConfigFile, {running, databases, hostname, warnings}: Surroundings): Config {
  const instance: InstanceSection = file[instanceKey(file)] ?? {}
  const nodename = instance.nodename ?? hostname
  const token = instance.auth_token ?? instance.join_params?.token_name
  const proxyService = readProxy(file, running)
  return {
    nodename,
    dataDir: instance.data_dir ?? defaultDataDir,
    pidFile: instance.pid_file,
    joinToken: token === undefined ? undefined : tokenSource(token),
    joinMethod: instance.join_params?.method === 'iam' ? 'iam' : 'token',
    proxyServer: instance.proxy_server,
    authServer: instance.auth_server,
    caPins: instance.ca_pin ?? [],
    diagAddr: instance.diag_addr,
    log: readLog(instance.log),
    authService: readAuth(file, running, proxyService.publicAddrs[0]?.host ?? nodename.toLowerCase()),
    proxyService,
    dbService: readDb(file, running, databases),
    discoveryService: readDiscovery(file, running),
    warnings,
  }
}

const levels: Readonly<Record<string, LogLevel>> = {err: 'error', warning: 'warn', trace: 'debug'}

function readLog(log: InstanceSection['log']): LogSettings {
  const output = log?.output ?? 'stderr'
  const severity = log?.severity ?? 'info'
  return {
    output: output === 'stderr' || output === 'stdout' ? output : {path: output},
    level: levels[severity] ?? (severity as LogLevel),
    format: log?.format?.output ?? 'text',
  }
}

function readAuth(
  {auth_service: auth, proxy_service: proxy}: ConfigFile,
  running: Running,
  host: string,
): AuthServiceSettings {
  const listenAddr = auth?.listen_addr ?? {host: everyHost, port: defaultAuthPort}
  return {
    enabled: running.auth,
    listenAddr,
    clusterName: auth?.cluster_name ?? (isClusterName(host) ? host : 'postern'),
    publicAddrs: readAddresses(auth?.public_addr, listenAddr, defaultAuthPort),
    httpsKeypairs: [...(auth?.https_keypairs ?? []), ...(proxy?.https_keypairs ?? [])].map(readKeypair),
    staticTokens: (auth?.tokens ?? []).map(readStaticToken).filter((token) => token !== undefined),
    settings: readClusterSettings(auth),
    // A recording is found by its events.
    retention: {recordings: auth?.retention?.events, ...auth?.retention},
    defaultSessionTtl: auth?.authentication?.default_session_ttl ?? defaultSessionTtl,
  }
}

/** Only what the file says: the rest is the administrators' to set. */
function readClusterSettings(auth: ConfigFile['auth_service']): SettingsSpecs {
  const {session_recording: mode, client_idle_timeout: idle, disconnect_expired_cert: disconnect} = auth ?? {}
  const locking = auth?.authentication?.locking_mode
  return {
    ...(mode !== undefined && {session_recording_config: {mode}}),
    ...(idle !== undefined && {cluster_networking_config: {client_idle_timeout: idle}}),
    ...((disconnect !== undefined || locking !== undefined) && {
      cluster_auth_preference: {
        ...(disconnect !== undefined && {disconnect_expired_cert: disconnect}),
        ...(locking !== undefined && {locking_mode: locking}),
      },
    }),
  }
}

const readKeypair = (pair: {key_file: string; cert_file: string}): KeypairFiles => ({
  keyFile: pair.key_file,
  certFile: pair.cert_file,
})

/** A public address without a port has the port that the service listens on, unless that is any free one. */
const readAddresses = (addresses: readonly string[] | undefined, {port}: Address, defaultPort: number): Address[] =>
  (addresses ?? []).map((address) => parseAddress(address, port === 0 ? defaultPort : port))

function readProxy({proxy_service: proxy}: ConfigFile, running: Running): ProxyServiceSettings {
  const webListenAddr = proxy?.web_listen_addr ?? {host: everyHost, port: defaultProxyPort}
  return {
    enabled: running.proxy,
    webListenAddr,
    publicAddrs: readAddresses(proxy?.public_addr, webListenAddr, defaultProxyPort),
    workers: proxy?.workers ?? 1,
  }
}

function readDb(
  {db_service: db}: ConfigFile,
  running: Running,
  databases: readonly StaticDatabase[],
): DbServiceSettings {
  return {
    enabled: running.db,
    resources: (db?.resources ?? []).map(({labels, aws}) => ({
      labels,
      assumeRoleArn: aws?.assume_role_arn,
      externalId: aws?.external_id,
    })),
    aws: (db?.aws ?? []).map(readMatcher),
    databases,
    cacheTtl: db?.cache_ttl ?? defaultCacheTtl,
    maxStale: db?.max_stale ?? defaultMaxStale,
    allowLoopback: db?.allow_loopback ?? false,
    allowedAssumeRoles: db?.allowed_assume_roles,
    iamPolicy: db?.iam_policy ?? 'manual',
    connectAddresses: new Map(
      Object.entries(db?.connect_addrs ?? {}).map(([endpoint, address]) => [
        connectKey(parseAddress(endpoint)),
        address,
      ]),
    ),
    workers: db?.workers ?? 1,
    direct: db?.direct_addr && {
      listen: db.direct_addr,
      announce:
        db.direct_public_addr === undefined ? db.direct_addr : parseAddress(db.direct_public_addr, db.direct_addr.port),
    },
  }
}

function readDiscovery({discovery_service: discovery}: ConfigFile, running: Running): DiscoveryServiceSettings {
  return {
    enabled: running.discovery,
    discoveryGroup: discovery?.discovery_group,
    pollInterval: discovery?.poll_interval ?? defaultPollInterval,
    aws: (discovery?.aws ?? []).map(readMatcher),
  }
}

const readMatcher = (matcher: MatcherSection): AwsMatcher => ({
  types: matcher.types,
  regions: matcher.regions,
  tags: matcher.tags ?? {'*': ['*']},
  assumeRoleArn: matcher.assume_role_arn,
  externalId: matcher.external_id,
})
