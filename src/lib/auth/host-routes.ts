import * as requests from '../api/requests.js'
import type {Backend} from '../storage/backend.js'
import type {Cancels} from './cancels.js'
import type {DatabaseCertificates} from './database-certificates.js'
import type {DiscoveredDatabases} from './discovered-databases.js'
import type {Heartbeats} from './heartbeats.js'
import type {HostEvents} from './host-events.js'
import type {Joining} from './joining.js'
import {resourceLimit} from './resource-routes.js'
import {hostRoute, readQuery, type Route} from './route.js'
import type {SessionPlaces} from './session-places.js'
import type {Watches} from './watch.js'

export interface HostRouteOptions {
  readonly joining: Joining
  readonly databaseCertificates: DatabaseCertificates
  readonly discoveredDatabases: DiscoveredDatabases
  readonly heartbeats: Heartbeats
  readonly hostEvents: HostEvents
  readonly places: SessionPlaces
  readonly splices: Pick<Backend, 'appendSplices'>
  readonly watches: Watches
  readonly cancels: Cancels
}

/** SQL of 64 KiB per event, and many events in one request. */
const eventsLimit = 8 * 1024 * 1024
/** A thousand databases with their CA certificates. */
const heartbeatLimit = 8 * 1024 * 1024

/** What agents, proxies and discovery services call. */
export function createHostRoutes(options: HostRouteOptions): Route[] {
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
