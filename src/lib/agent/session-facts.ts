import type {LiveSession, SessionState} from '../api/live-session.js'
import type {SessionFacts} from '../audit/event.js'
import type {SessionAudit} from '../audit/session-audit.js'
import {classifyDatabase, formatAddress} from '../resources/endpoint.js'
import type {RecordingMode} from '../resources/session-recording-config.js'
import {connectionId} from '../tunnel/connection-id.js'
import type {Guest} from './admission.js'
import type {Served} from './catalog.js'
import type {Arrival} from './entrance.js'

/** A label that says where a database resource comes from, when it is neither configured nor created by hand. */
const originLabel = 'postern.dev/origin'

/** Who the agent is. */
export interface Self {
  readonly cluster: string
  readonly hostId: string
  readonly hostname: string
  readonly version: string
}

/** What the audit says of a session from the beginning. */
export function sessionFacts(
  sid: string,
  self: Self,
  arrival: Arrival,
  guest: Guest,
  served: Served,
  recording: RecordingMode,
): SessionFacts {
  const {identity, route, dbName} = guest
  const {database, origin} = served
  const {hostId, hostname, version} = self
  const {type, aws} = classifyDatabase(database.spec)
  const labels = database.metadata.labels ?? {}
  const {localAddress = '', localPort = 0} = arrival.socket
  return {
    cluster: self.cluster,
    sid,
    user: identity.user,
    roles: identity.roles,
    traits: identity.traits,
    agent: {hostId, hostname, version},
    database: {
      service: database.metadata.name,
      protocol: database.spec.protocol,
      uri: database.spec.uri,
      labels,
      type,
      origin: labels[originLabel] ?? origin,
      region: aws.region,
    },
    dbUser: route.dbUser,
    dbName,
    dbRoles: route.dbRoles,
    recording,
    connection: connectionId(arrival.nonce),
    remoteAddress: arrival.source,
    localAddress: formatAddress({host: localAddress, port: localPort}),
  }
}

/** Longer statements are cut. */
const longestStatement = 500

/** A session as it is at this moment. */
export function describeSession({facts, startedAt, current}: SessionAudit, state: SessionState): LiveSession {
  const {sql, since} = current
  return {
    sid: facts.sid,
    user: facts.user,
    database: facts.database.service,
    dbUser: facts.dbUser,
    dbName: facts.dbName,
    source: facts.remoteAddress,
    started: new Date(startedAt).toISOString(),
    state,
    ...(sql !== undefined && {statement: sql.slice(0, longestStatement)}),
    ...(since !== undefined && {statementStarted: new Date(since).toISOString()}),
  }
}
