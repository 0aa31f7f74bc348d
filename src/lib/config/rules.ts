import {isAbsolute} from 'node:path'
import {checkPinForm} from '../pki/pin.js'
import {isAnnounceable} from '../resources/direct-address.js'
import {parseAddress} from '../resources/endpoint.js'
import {isClusterName} from '../resources/route.js'
import {joinMethods} from '../resources/token.js'
import type {Path, Problem} from './document.js'
import {readStaticToken} from './join.js'
import {keysWithoutEffect, type ConfigFile, type InstanceSection, type MatcherSection} from './schema.js'
import type {Service} from './settings.js'

export type Running = Readonly<Record<Service, boolean>>

/** The services to run: those asked for, else what the file says, else control plane and proxy. */
export function enabledServices(file: ConfigFile, roles?: readonly Service[]): Running {
  const decide = (service: Service, byFile: boolean): boolean => roles?.includes(service) ?? byFile
  return {
    auth: decide('auth', file.auth_service?.enabled ?? true),
    proxy: decide('proxy', file.proxy_service?.enabled ?? true),
    db: decide('db', file.db_service?.enabled ?? false),
    discovery: decide('discovery', file.discovery_service?.enabled ?? false),
  }
}

/** Postern's own key, or the one that files of another system carry. */
export function instanceKey(file: ConfigFile): 'postern' | 'teleport' {
  return file.teleport === undefined ? 'postern' : 'teleport'
}

/** Rules that span keys. */
export function checkRules(file: ConfigFile, running: Running): Problem[] {
  if (file.postern && file.teleport) {
    return [{path: ['teleport'], message: 'and postern are the same section under two names; keep one of them'}]
  }
  return [
    ...checkAddresses(file, running),
    ...checkJoining(file),
    ...checkPins(file),
    ...checkLog(file),
    ...checkClusterName(file),
    ...checkStaticTokens(file),
    ...checkKeypairs(file, running),
    ...checkMatchers(file.db_service?.aws, ['db_service', 'aws']),
    ...checkMatchers(file.discovery_service?.aws, ['discovery_service', 'aws']),
    ...checkResources(file),
    ...checkDatabaseNames(file),
    ...checkFreshness(file),
    ...checkRetention(file),
    ...checkPolling(file),
    ...checkDirectAddress(file),
  ]
}

const instanceOf = (file: ConfigFile): InstanceSection => file[instanceKey(file)] ?? {}

/** Version v3: one address to join through, and only where it is needed. */
function checkAddresses(file: ConfigFile, running: Running): Problem[] {
  const key = instanceKey(file)
  const {proxy_server: proxyServer, auth_server: authServer} = instanceOf(file)
  const agent = running.db ? 'db_service' : running.discovery ? 'discovery_service' : undefined
  if (proxyServer && authServer) {
    return [{path: [key, 'auth_server'], message: 'cannot be set together with proxy_server; keep one of them'}]
  }
  if (proxyServer && running.proxy) {
    const hint = 'Add proxy_service with enabled: no when this host is not the proxy; it is on by default.'
    return [{path: [key, 'proxy_server'], message: 'cannot be set where proxy_service is enabled', hint}]
  }
  if (agent && !running.proxy && !proxyServer) {
    const hint = `Agents reach the cluster through the proxy only: set ${key}.proxy_server.`
    const path = authServer ? [key, 'auth_server'] : [agent]
    return [{path, message: authServer ? `is not enough for ${agent}` : 'needs proxy_server', hint}]
  }
  if (running.proxy && !running.auth && !authServer) {
    const hint = `Set ${key}.auth_server to the address of the Auth Service.`
    return [{path: ['proxy_service'], message: 'needs auth_server where auth_service is not enabled', hint}]
  }
  return []
}

function checkJoining(file: ConfigFile): Problem[] {
  const key = instanceKey(file)
  const {auth_token: token, join_params: join} = instanceOf(file)
  if (token && join) {
    return [{path: [key, 'join_params'], message: 'cannot be set together with auth_token; keep one of them'}]
  }
  if (!join) return []
  if (!joinMethods.some((method) => method === join.method)) {
    const message = `is ${join.method}, which is not supported yet; use ${joinMethods.join(' or ')}`
    return [{path: [key, 'join_params', 'method'], message}]
  }
  const path = [key, 'join_params', 'token_name']
  if (!join.token_name) return [{path, message: 'is missing'}]
  return join.method === 'iam' && isAbsolute(join.token_name)
    ? [{path, message: 'must be the name of the token: for the method iam nothing secret is in a file'}]
    : []
}

function checkPins(file: ConfigFile): Problem[] {
  return (instanceOf(file).ca_pin ?? []).flatMap((pin, index) =>
    isAbsolute(pin) ||
    holds(() => {
      checkPinForm(pin)
    })
      ? []
      : [
          {
            path: [instanceKey(file), 'ca_pin', index],
            message: 'must be sha256: and 64 hex digits, or an absolute path',
          },
        ],
  )
}

function holds(check: () => void): boolean {
  try {
    check()
    return true
  } catch {
    return false
  }
}

function checkLog(file: ConfigFile): Problem[] {
  const output = instanceOf(file).log?.output
  if (output === undefined || ['stderr', 'stdout'].includes(output) || isAbsolute(output)) return []
  return [{path: [instanceKey(file), 'log', 'output'], message: 'must be stderr, stdout or an absolute path'}]
}

function checkClusterName(file: ConfigFile): Problem[] {
  const name = file.auth_service?.cluster_name
  if (name === undefined || isClusterName(name)) return []
  const message = 'must be lower-case letters, digits, hyphens and dots, like a host name'
  return [{path: ['auth_service', 'cluster_name'], message}]
}

function checkStaticTokens(file: ConfigFile): Problem[] {
  return (file.auth_service?.tokens ?? []).flatMap((entry, index) =>
    readStaticToken(entry)
      ? []
      : [{path: ['auth_service', 'tokens', index], message: 'must be types:token with the types db, proxy, discovery'}],
  )
}

/** The proxy never ends that TLS, so the key must not lie on its host. */
function checkKeypairs(file: ConfigFile, running: Running): Problem[] {
  if (!file.proxy_service?.https_keypairs?.length || running.auth || !running.proxy) return []
  const message = 'has no use on a proxy without the Auth Service, where the TLS of the web endpoint ends'
  const hint = 'Move the files to the host of the Auth Service, under auth_service.https_keypairs.'
  return [{path: ['proxy_service', 'https_keypairs'], message, hint}]
}

function checkMatchers(matchers: readonly MatcherSection[] = [], path: Path): Problem[] {
  return matchers.flatMap(({external_id: externalId, assume_role_arn: role, types}, index) =>
    externalId && !role && types.some((type) => type !== 'redshift-serverless')
      ? [{path: [...path, index, 'external_id'], message: 'needs assume_role_arn'}]
      : [],
  )
}

function checkResources(file: ConfigFile): Problem[] {
  return (file.db_service?.resources ?? []).flatMap(({labels, aws}, index) => {
    const path = ['db_service', 'resources', index]
    if (Object.keys(labels).length === 0) {
      return [
        {path: [...path, 'labels'], message: 'must not be empty', hint: 'To serve every database write "*": "*".'},
      ]
    }
    const lonely = aws?.external_id && !aws.assume_role_arn
    return lonely ? [{path: [...path, 'aws', 'external_id'], message: 'needs assume_role_arn'}] : []
  })
}

function checkDatabaseNames(file: ConfigFile): Problem[] {
  const seen = new Set<string>()
  return (file.db_service?.databases ?? []).flatMap(({name = ''}, index) => {
    const folded = name.toLowerCase()
    const problem = {path: ['db_service', 'databases', index, 'name'], message: `Database "${name}" is there twice`}
    const isTwice = name !== '' && seen.has(folded)
    seen.add(folded)
    return isTwice ? [problem] : []
  })
}

/** Recordings are found, and checked, by their events. */
function checkRetention({auth_service: auth}: ConfigFile): Problem[] {
  const {events, recordings} = auth?.retention ?? {}
  if (events === undefined || recordings === undefined || recordings <= events) return []
  return [{path: ['auth_service', 'retention', 'recordings'], message: 'must not be longer than events'}]
}

export const defaultCacheTtl = 20_000
export const defaultMaxStale = 3_600_000
const maximumCacheTtl = 300_000

function checkFreshness(file: ConfigFile): Problem[] {
  const ttl = file.db_service?.cache_ttl ?? defaultCacheTtl
  if (ttl === 0 || ttl > maximumCacheTtl) {
    return [{path: ['db_service', 'cache_ttl'], message: 'must be more than 0 and at most 5m'}]
  }
  if ((file.db_service?.max_stale ?? defaultMaxStale) >= ttl) return []
  return [{path: ['db_service', 'max_stale'], message: 'must not be shorter than cache_ttl'}]
}

const shortestPoll = 1000

/** Each look asks AWS several times, for a whole account. */
function checkPolling(file: ConfigFile): Problem[] {
  const interval = file.discovery_service?.poll_interval
  if (interval === undefined || interval >= shortestPoll) return []
  return [{path: ['discovery_service', 'poll_interval'], message: 'must be at least 1s'}]
}

/** Clients are told one address of this agent, which must mean the same host everywhere. */
function checkDirectAddress(file: ConfigFile): Problem[] {
  const {direct_addr: listen, direct_public_addr: announced} = file.db_service ?? {}
  const path = ['db_service', announced === undefined ? 'direct_addr' : 'direct_public_addr']
  if (!listen) return announced === undefined ? [] : [{path, message: 'needs direct_addr'}]
  const {host} = announced === undefined ? listen : parseAddress(announced, 1)
  if (isAnnounceable(host)) return []
  const hint = 'Set db_service.direct_public_addr to the address under which clients reach this host.'
  return [{path, message: `${host} is no address that clients could dial`, hint}]
}

/** What the file says and Postern does not do. */
export function findWarnings(file: ConfigFile, running: Running): Problem[] {
  const ignored = keysWithoutEffect
    .map(({path, why}) => ({path: path.map((key) => (key === 'postern' ? instanceKey(file) : key)), why}))
    .filter(({path: [section = '', key = '']}) => isSet(file, section, key))
    .map(({path, why}) => ({path, message: `has no effect: ${why}`}))
  const looksNowhere = running.discovery && !file.discovery_service?.aws?.length
  const nothing = {path: ['discovery_service'], message: 'finds nothing: it has no aws matchers'}
  return looksNowhere ? [...ignored, nothing] : ignored
}

function isSet(file: ConfigFile, section: string, key: string): boolean {
  const keys: unknown = Object.entries(file).find(([name]) => name === section)?.[1]
  return Object.entries(keys ?? {}).some(([name, value]) => name === key && value !== undefined)
}
