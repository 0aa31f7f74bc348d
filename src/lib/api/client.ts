import type {Resource, ResourceOf} from '../resources/resource.js'
import type {Kind} from '../resources/kinds.js'
import type {SessionsResponse} from './live-session.js'
import type * as requests from './requests.js'
import type * as responses from './responses.js'
import {Transport, type Endpoint, type TransportOptions} from './transport.js'

const segment = encodeURIComponent

/** The control plane's API, one method per route. Routes under `/v1/webapi` need no client certificate. */
export class ApiClient {
  readonly transport: Transport

  constructor(endpoint: Endpoint, options?: TransportOptions) {
    this.transport = new Transport(endpoint, options)
  }

  close(): Promise<void> {
    return this.transport.close()
  }

  // Without a client certificate.

  find(): Promise<responses.FindResponse> {
    return this.transport.request('GET', '/v1/webapi/find')
  }

  hostAuthorities(): Promise<responses.HostAuthoritiesResponse> {
    return this.transport.request('GET', '/v1/webapi/host_ca')
  }

  login(body: requests.LoginRequest): Promise<responses.LoginResponse> {
    return this.transport.request('POST', '/v1/webapi/login', body)
  }

  acceptInvite(body: requests.AcceptInviteRequest): Promise<{user: string}> {
    return this.transport.request('POST', '/v1/webapi/invite/accept', body)
  }

  joinChallenge(body: requests.JoinChallengeRequest): Promise<responses.JoinChallengeResponse> {
    return this.transport.request('POST', '/v1/webapi/join/challenge', body)
  }

  join(body: requests.JoinRequest): Promise<responses.JoinResponse> {
    return this.transport.request('POST', '/v1/webapi/join', body)
  }

  // Users and administrators.

  status(): Promise<responses.StatusResponse> {
    return this.transport.request('GET', '/v1/status')
  }

  logout(body: requests.LogoutRequest): Promise<void> {
    return this.transport.request('POST', '/v1/logout', body)
  }

  visibleDatabases(): Promise<{databases: responses.VisibleDatabase[]}> {
    return this.transport.request('GET', '/v1/databases')
  }

  databaseCertificate(body: requests.DatabaseCertificateRequest): Promise<responses.DatabaseCertificateResponse> {
    return this.transport.request('POST', '/v1/certificates/database', body)
  }

  databaseServerCertificate(
    body: requests.DatabaseServerCertificateRequest,
  ): Promise<responses.DatabaseServerCertificateResponse> {
    return this.transport.request('POST', '/v1/certificates/database_server', body)
  }

  userCertificate(body: requests.UserCertificateRequest): Promise<responses.LoginResponse> {
    return this.transport.request('POST', '/v1/certificates/user', body)
  }

  /** What agents would decide now. */
  explainAccess(body: requests.ExplainAccessRequest): Promise<responses.ExplainAccessResponse> {
    return this.transport.request('POST', '/v1/access/explain', body)
  }

  /** A denial, by the id that the user was told. */
  decision(id: string): Promise<responses.DecisionResponse> {
    return this.transport.request('GET', `/v1/access/decisions/${segment(id)}`)
  }

  renewUserCertificate(body: requests.RenewUserRequest): Promise<responses.LoginResponse> {
    return this.transport.request('POST', '/v1/certificates/user/renew', body)
  }

  authority(type: responses.AuthorityType): Promise<responses.AuthorityResponse> {
    return this.transport.request('GET', `/v1/authorities/${segment(type)}`)
  }

  addUser(body: requests.AddUserRequest): Promise<responses.InviteResponse> {
    return this.transport.request('POST', '/v1/users', body)
  }

  resetUser(user: string, body: requests.ResetUserRequest): Promise<responses.InviteResponse> {
    return this.transport.request('POST', `/v1/users/${segment(user)}/reset`, body)
  }

  addToken(body: requests.AddTokenRequest): Promise<responses.TokenResponse> {
    return this.transport.request('POST', '/v1/tokens', body)
  }

  listResources<K extends Kind>(kind: K): Promise<{items: ResourceOf[K][]}> {
    return this.transport.request('GET', `/v1/resources/${kind}`)
  }

  /** Several for `db_server`: one per agent. */
  getResource<K extends Kind>(kind: K, name: string): Promise<{items: ResourceOf[K][]}> {
    return this.transport.request('GET', `/v1/resources/${kind}/${segment(name)}`)
  }

  createResource(resource: Resource): Promise<{created: boolean}> {
    return this.transport.request('POST', `/v1/resources/${resource.kind}`, resource)
  }

  /** Creates or replaces; with `metadata.revision` set only if it is still the current one. */
  putResource(resource: Resource): Promise<{created: boolean}> {
    return this.transport.request('PUT', `/v1/resources/${resource.kind}/${segment(resource.metadata.name)}`, resource)
  }

  deleteResource(kind: Kind, name: string): Promise<void> {
    return this.transport.request('DELETE', `/v1/resources/${kind}/${segment(name)}`)
  }

  events(query: requests.ListEventsQuery): Promise<responses.EventsResponse> {
    return this.transport.request('GET', `/v1/events?${parametersOf(query).toString()}`)
  }

  /** The recording of a session as it is stored (audit/recording.ts). */
  recording(sid: string, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    return this.transport.stream(`/v1/recordings/${segment(sid)}`, signal)
  }

  /** The same, and what is recorded from now on until the session ends. */
  followRecording(sid: string, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    return this.transport.stream(`/v1/recordings/${segment(sid)}?follow=true`, signal)
  }

  liveSessions(): Promise<SessionsResponse> {
    return this.transport.request('GET', '/v1/sessions')
  }

  /** `ended`: its agent has confirmed that it is over. */
  killSession(sid: string, body: requests.KillSessionRequest): Promise<{ended: boolean}> {
    return this.transport.request('POST', `/v1/sessions/${segment(sid)}/kill`, body)
  }

  /** Public keys, PEM, of those who seal recordings. */
  sealKeys(): Promise<{keys: string[]}> {
    return this.transport.request('GET', '/v1/audit/keys')
  }

  /** What there is to say about recordings and agents, as newline-delimited JSON (api/verification.ts). */
  verification(query: requests.VerificationQuery, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    return this.transport.stream(`/v1/audit/verification?${parametersOf(query).toString()}`, signal)
  }

  // Hosts.

  renewHost(body: requests.RenewHostRequest): Promise<responses.RenewHostResponse> {
    return this.transport.request('POST', '/v1/hosts/renew', body)
  }

  heartbeat(body: requests.HeartbeatRequest): Promise<responses.HeartbeatResponse> {
    return this.transport.request('POST', '/v1/heartbeat', body)
  }

  databaseClientCertificate(body: requests.DatabaseClientRequest): Promise<responses.DatabaseClientResponse> {
    return this.transport.request('POST', '/v1/certificates/database_client', body)
  }

  forwardCancel(body: requests.ForwardCancelRequest): Promise<void> {
    return this.transport.request('POST', '/v1/cancels', body)
  }

  admitSession(body: requests.AdmitSessionRequest): Promise<{readonly admitted: boolean}> {
    return this.transport.request('POST', '/v1/sessions/admit', body)
  }

  directServerCertificate(body: requests.DirectServerRequest): Promise<responses.DirectServerResponse> {
    return this.transport.request('POST', '/v1/certificates/direct_server', body)
  }

  emitEvents(lines: Buffer): Promise<void> {
    return this.transport.request('POST', '/v1/events', lines)
  }

  reportSplices(body: requests.ReportSplicesRequest): Promise<void> {
    return this.transport.request('POST', '/v1/splices', body)
  }

  /** What the group's discovery services have registered. */
  discoveredDatabases(body: requests.DiscoveredDatabasesRequest): Promise<{databases: ResourceOf['db'][]}> {
    return this.transport.request('POST', '/v1/discovery/list', body)
  }

  putDiscovered(body: requests.PutDiscoveredRequest): Promise<{created: boolean}> {
    return this.transport.request('POST', '/v1/discovery/put', body)
  }

  removeDiscovered(body: requests.RemoveDiscoveredRequest): Promise<void> {
    return this.transport.request('POST', '/v1/discovery/remove', body)
  }

  reportSessions(watchId: string, body: requests.ReportSessionsRequest): Promise<void> {
    return this.transport.request('POST', `/v1/watch/${segment(watchId)}/sessions`, body)
  }

  ping(watchId: string, body: requests.PingRequest): Promise<void> {
    return this.transport.request('POST', `/v1/watch/${segment(watchId)}/ping`, body)
  }
}

function parametersOf(query: object): URLSearchParams {
  const parameters = new URLSearchParams()
  for (const [key, value] of Object.entries(query) as [string, string | number | undefined][]) {
    if (value !== undefined) parameters.set(key, String(value))
  }
  return parameters
}
