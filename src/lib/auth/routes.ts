import * as requests from '../api/requests.js'
import {authorityTypes, type FindResponse, type StatusResponse} from '../api/responses.js'
import {PosternError} from '../core/errors.js'
import {formatDuration} from '../core/duration.js'
import {formatAddress, type Address} from '../resources/endpoint.js'
import {kinds, type Kind} from '../resources/kinds.js'
import {describeIssues, parseResource, type Resource} from '../resources/resource.js'
import {z} from 'zod'
import {readsRoles, withoutDecision} from './access-explainer.js'
import type {Accounts} from './accounts.js'
import type {AuditLog} from './audit-log.js'
import type {Authorities} from './authorities.js'
import {actorFields, type Caller} from './caller.js'
import type {DatabaseAccess} from './database-access.js'
import type {DatabaseCertificates} from './database-certificates.js'
import type {GuardedResources} from './guarded-resources.js'
import type {DiscoveredDatabases} from './discovered-databases.js'
import type {Heartbeats} from './heartbeats.js'
import type {HostEvents} from './host-events.js'
import type {Joining} from './joining.js'
import type {LiveSessions} from './live-sessions.js'
import type {Recordings} from './recordings.js'
import type {AuditVerification} from './audit-verification.js'
import type {SessionPlaces} from './session-places.js'
import type {Sealing} from './sealing.js'
import type {Backend} from '../storage/backend.js'
import {
  Answer,
  hostRoute,
  guardedRoute,
  memberRoute,
  permittedRoute,
  publicRoute,
  streamOf,
  userRoute,
  type Call,
  type Method,
  type Route,
} from './route.js'
import type {UserCertificates} from './user-certificates.js'
import type {Cancels} from './cancels.js'
import type {Watches} from './watch.js'

export interface RouteOptions {
  readonly cluster: string
  readonly version: string
  readonly publicAddress: Address
  readonly defaultSessionTtlMilliseconds: number
  readonly authorities: Authorities
  readonly accounts: Accounts
  readonly joining: Joining
  readonly userCertificates: UserCertificates
  readonly databaseAccess: DatabaseAccess
  readonly databaseCertificates: DatabaseCertificates
  readonly discoveredDatabases: DiscoveredDatabases
  readonly heartbeats: Heartbeats
  readonly hostEvents: HostEvents
  readonly recordings: Recordings
  readonly liveSessions: LiveSessions
  readonly places: SessionPlaces
  readonly sealing: Sealing
  readonly verification: AuditVerification
  readonly splices: Pick<Backend, 'appendSplices'>
  readonly watches: Watches
  readonly cancels: Cancels
  readonly resources: GuardedResources
  readonly audit: AuditLog
}

/** SQL of 64 KiB per event, and many events in one request. */
const eventsLimit = 8 * 1024 * 1024
/** A thousand databases with their CA certificates. */
const heartbeatLimit = 8 * 1024 * 1024
const resourceLimit = 1024 * 1024

/** The whole API, with who may call what (api/client.ts is the other end). */
export function createRoutes(options: RouteOptions): Route[] {
  return [...publicRoutes(options), ...userRoutes(options), ...resourceRoutes(options), ...hostRoutes(options)]
}

function publicRoutes(options: RouteOptions): Route[] {
  const {accounts, authorities, joining, userCertificates, version} = options
  const found = describeCluster(options)
  return [
    ...twins('GET', '/webapi/find', () => found),
    ...twins('GET', '/webapi/ping', () => found),
    ...twins('GET', '/webapi/automaticupgrades/channel/*', ({parameters}) => upgradeChannel(parameters['*'], version)),
    publicRoute('GET', '/v1/webapi/host_ca', {}, () => ({authorities: authorities.trusted('host')})),
    publicRoute('POST', '/v1/webapi/login', {body: requests.loginRequest}, ({body, client, headers}) =>
      userCertificates.login(body, client, headers['user-agent']),
    ),
    publicRoute('POST', '/v1/webapi/invite/accept', {body: requests.acceptInviteRequest}, async ({body}) => {
      const {user} = await accounts.setPassword(body.token, body.password)
      return {user}
    }),
    publicRoute('POST', '/v1/webapi/join/challenge', {body: requests.joinChallengeRequest}, ({body}) =>
      joining.challenge(body.publicKey),
    ),
    publicRoute('POST', '/v1/webapi/join', {body: requests.joinRequest}, ({body, client}) =>
      joining.join(body, client),
    ),
  ]
}

/** Each web path is there twice, with and without the version in front. */
function twins(method: Method, path: string, handle: (call: Call) => unknown): Route[] {
  return [path, `/v1${path}`].map((each) => publicRoute(method, each, {}, handle))
}

function describeCluster({cluster, version, publicAddress, defaultSessionTtlMilliseconds}: RouteOptions): FindResponse {
  const [major = '0'] = version.split('.')
  const address = formatAddress(publicAddress)
  return {
    auth: {type: 'local', default_session_ttl: formatDuration(defaultSessionTtlMilliseconds)},
    proxy: {ssh: {public_addr: address, web_listen_addr: address}, tls_routing_enabled: true},
    server_version: version,
    min_client_version: `${Math.max(0, Number(major) - 1)}.0.0`,
    cluster_name: cluster,
    automatic_upgrades: false,
    edition: 'oss',
    fips: false,
  }
}

const text = {'content-type': 'text/plain; charset=utf-8'}

/** `<channel>/version` and `<channel>/critical`; a channel's name may hold slashes. */
function upgradeChannel(path: string | undefined, version: string): Answer {
  const question = /^[\w./-]{1,128}\/(version|critical)$/.exec(path ?? '')?.[1]
  if (question === 'version') return new Answer(200, text, `v${version}`)
  if (question === 'critical') return new Answer(200, text, 'no')
  throw new PosternError('NOT_FOUND', 'There is no such upgrade channel.')
}

function userRoutes(options: RouteOptions): Route[] {
  const {accounts, audit, authorities, databaseAccess, databaseCertificates, joining, userCertificates} = options
  const {liveSessions, recordings} = options
  return [
    memberRoute('GET', '/v1/status', {}, ({caller}): StatusResponse => {
      return {
        cluster: options.cluster,
        version: options.version,
        caPins: authorities.pins(),
        identity: {
          kind: caller.kind,
          name: actorFields(caller).user,
          roles: caller.kind === 'user' ? caller.roles : caller.identity.systemRoles,
        },
      }
    }),
    userRoute('POST', '/v1/logout', {body: requests.logoutRequest}, async ({body, caller}) => {
      if (body.everywhere) await accounts.logoutEverywhere(caller)
    }),
    userRoute('GET', '/v1/databases', {}, ({caller}) => databaseAccess.visible(caller)),
    userRoute('POST', '/v1/certificates/database', {body: requests.databaseCertificateRequest}, ({body, caller}) =>
      databaseAccess.certificate(body, caller),
    ),
    permittedRoute('db_certificate', 'create')(
      'POST',
      '/v1/certificates/database_server',
      {body: requests.databaseServerCertificateRequest},
      ({body}) => databaseCertificates.server(body),
    ),
    // Whoever signs for others can be anybody: that takes the right to change users.
    permittedRoute('user', 'update')(
      'POST',
      '/v1/certificates/user',
      {body: requests.userCertificateRequest},
      ({body, caller}) => userCertificates.sign(body, caller),
    ),
    userRoute('POST', '/v1/certificates/user/renew', {body: requests.renewUserRequest}, ({body, caller}) =>
      userCertificates.renew(body, caller),
    ),
    permittedRoute('cert_authority', 'read')('GET', '/v1/authorities/:type', {}, ({parameters}) => {
      const type = authorityTypes.find((known) => known === parameters.type)
      if (type) return {type, certificates: authorities.trusted(type)}
      throw new PosternError('NOT_FOUND', 'There is no such authority.', {
        hint: `There are ${authorityTypes.join(', ')}.`,
      })
    }),
    permittedRoute('user', 'create')('POST', '/v1/users', {body: requests.addUserRequest}, ({body, caller}) =>
      accounts.add(body, caller),
    ),
    permittedRoute('user', 'update')(
      'POST',
      '/v1/users/:name/reset',
      {body: requests.resetUserRequest},
      ({body, caller, parameters}) => accounts.reset(parameters.name ?? '', body.ttlSeconds, caller),
    ),
    permittedRoute('token', 'create')('POST', '/v1/tokens', {body: requests.addTokenRequest}, ({body, caller}) =>
      joining.addToken(body, caller),
    ),
    permittedRoute('event', 'list')('GET', '/v1/events', {}, async ({caller, query}) => {
      const answer = await audit.list(readQuery(requests.listEventsQuery, query))
      return readsRoles(caller) ? answer : {...answer, events: answer.events.map(withoutDecision)}
    }),
    memberRoute('GET', '/v1/audit/keys', {}, () => ({keys: [options.sealing.key.publicKey]})),
    permittedRoute('session', 'read')('GET', '/v1/audit/verification', {}, ({query}) => {
      const {verification} = options
      const {sid, head} = readQuery(requests.verificationQuery, query)
      return streamOf(sid === undefined ? verification.everything(head) : verification.session(sid))
    }),
    // Whose it is matters besides roles, so the handler decides.
    memberRoute('GET', '/v1/recordings/:sid', {}, ({caller, parameters, query}) =>
      recordings.read(parameters.sid ?? '', caller, readQuery(requests.recordingQuery, query)),
    ),
    memberRoute('GET', '/v1/sessions', {}, ({caller}) => liveSessions.list(caller)),
    memberRoute('POST', '/v1/sessions/:sid/kill', {body: requests.killSessionRequest}, ({body, caller, parameters}) =>
      liveSessions.kill(parameters.sid ?? '', body, caller),
    ),
  ]
}

/** @throws PosternError INVALID */
function readQuery<T extends z.ZodType>(schema: T, query: unknown): z.output<T> {
  const checked = schema.safeParse(query)
  if (checked.success) return checked.data
  throw new PosternError('INVALID', `The question is not valid: ${describeIssues(checked.error)}.`)
}

function resourceRoutes({resources}: RouteOptions): Route[] {
  return kinds.flatMap((kind) => {
    const path = `/v1/resources/${kind}`
    const details = {body: z.unknown().transform((document) => readResource(kind, document)), bodyLimit: resourceLimit}
    return [
      guardedRoute(kind, 'list')('GET', path, {}, async ({caller}) => ({items: await resources.list(kind, caller)})),
      guardedRoute(kind, 'read', 'readnosecrets')('GET', `${path}/:name`, {}, async ({caller, parameters}) => ({
        items: await resources.get(kind, parameters.name ?? '', caller),
      })),
      guardedRoute(kind, 'create')('POST', path, details, async ({body, caller}) => {
        await resources.create(body, caller)
        return {created: true}
      }),
      guardedRoute(kind, 'update')('PUT', `${path}/:name`, details, ({body, caller, parameters}) =>
        putResource(resources, body, parameters.name, caller),
      ),
      guardedRoute(kind, 'delete')('DELETE', `${path}/:name`, {}, ({caller, parameters}) =>
        resources.delete(kind, parameters.name ?? '', caller),
      ),
    ]
  })
}

async function putResource(
  resources: GuardedResources,
  resource: Resource,
  name: string | undefined,
  caller: Caller,
): Promise<{created: boolean}> {
  if (resource.metadata.name !== name) {
    throw new PosternError('INVALID', 'The name in the resource is not the one in the address.')
  }
  return {created: await resources.put(resource, caller)}
}

function readResource(kind: Kind, document: unknown): Resource {
  return parseResource(kind, document)
}

function hostRoutes(options: RouteOptions): Route[] {
  const {cancels, joining, heartbeats, watches, hostEvents, databaseCertificates, splices, discoveredDatabases} =
    options
  const agent = hostRoute('Db')
  const follower = hostRoute('Db', 'Proxy')
  const finder = hostRoute('Discovery')
  return [
    hostRoute('Db', 'Proxy', 'Discovery')(
      'POST',
      '/v1/hosts/renew',
      {body: requests.renewHostRequest},
      ({body, caller}) => joining.renew(body.publicKey, caller),
    ),
    agent('POST', '/v1/heartbeat', {body: requests.heartbeatRequest, bodyLimit: heartbeatLimit}, ({body, caller}) =>
      heartbeats.accept(body, caller),
    ),
    agent('POST', '/v1/certificates/database_client', {body: requests.databaseClientRequest}, ({body, caller}) =>
      databaseCertificates.client(body, caller),
    ),
    agent('POST', '/v1/cancels', {body: requests.forwardCancelRequest}, ({body, caller}) =>
      cancels.forward(body, caller),
    ),
    agent('POST', '/v1/sessions/admit', {body: requests.admitSessionRequest}, ({body, caller}) =>
      options.places.admit(body, caller),
    ),
    agent('POST', '/v1/certificates/direct_server', {body: requests.directServerRequest}, ({body, caller}) =>
      databaseCertificates.direct(body, caller),
    ),
    agent('POST', '/v1/events', {body: requests.emitEventsRequest, bodyLimit: eventsLimit}, ({body, caller}) =>
      hostEvents.store(body, caller),
    ),
    hostRoute('Proxy')('POST', '/v1/splices', {body: requests.reportSplicesRequest, bodyLimit: eventsLimit}, ({body}) =>
      splices.appendSplices(body.splices),
    ),
    finder('POST', '/v1/discovery/list', {body: requests.discoveredDatabasesRequest}, ({body}) =>
      discoveredDatabases.list(body.group),
    ),
    finder(
      'POST',
      '/v1/discovery/put',
      {body: requests.putDiscoveredRequest, bodyLimit: resourceLimit},
      ({body, caller}) => discoveredDatabases.put(body, caller),
    ),
    finder('POST', '/v1/discovery/remove', {body: requests.removeDiscoveredRequest}, ({body, caller}) =>
      discoveredDatabases.remove(body.group, body.name, caller),
    ),
    follower('GET', '/v1/watch', {}, ({caller, query}) =>
      watches.open(caller, readQuery(requests.watchQuery, query).follower),
    ),
    agent(
      'POST',
      '/v1/watch/:id/sessions',
      {body: requests.reportSessionsRequest, bodyLimit: eventsLimit},
      ({body, caller, parameters}) => {
        watches.answer(parameters.id ?? '', body, caller)
      },
    ),
    follower('POST', '/v1/watch/:id/ping', {body: requests.pingRequest}, ({body, caller, parameters}) => {
      watches.ping(parameters.id ?? '', body.sequence, caller)
    }),
  ]
}
