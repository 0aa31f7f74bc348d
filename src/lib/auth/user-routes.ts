import * as requests from '../api/requests.js'
import {authorityTypes, type StatusResponse} from '../api/responses.js'
import {PosternError} from '../core/errors.js'
import {readsRoles, withoutDecision} from './access-explainer.js'
import type {Accounts} from './accounts.js'
import type {AuditLog} from './audit-log.js'
import type {AuditVerification} from './audit-verification.js'
import type {Authorities} from './authorities.js'
import {actorFields} from './caller.js'
import type {DatabaseAccess} from './database-access.js'
import type {DatabaseCertificates} from './database-certificates.js'
import type {Joining} from './joining.js'
import type {LiveSessions} from './live-sessions.js'
import type {Recordings} from './recordings.js'
import type {RetentionPeriods} from './retention.js'
import {memberRoute, permittedRoute, readQuery, streamOf, userRoute, type Route} from './route.js'
import type {Sealing} from './sealing.js'
import type {UserCertificates} from './user-certificates.js'

export interface UserRouteOptions {
  readonly cluster: string
  readonly version: string
  readonly authorities: Authorities
  readonly accounts: Accounts
  readonly joining: Joining
  readonly userCertificates: UserCertificates
  readonly databaseAccess: DatabaseAccess
  readonly databaseCertificates: DatabaseCertificates
  readonly recordings: Recordings
  readonly liveSessions: LiveSessions
  /** How long events and recordings are kept. */
  readonly retention: RetentionPeriods
  readonly sealing: Sealing
  readonly verification: AuditVerification
  readonly audit: AuditLog
}

/** What people call: their own certificates and databases, and what their roles let them administer and look into. */
export function createUserRoutes(options: UserRouteOptions): Route[] {
  const {accounts, audit, authorities, databaseAccess, databaseCertificates, joining, userCertificates} = options
  const {liveSessions, recordings, retention} = options
  return [
    memberRoute('GET', '/v1/status', {}, ({caller}): StatusResponse => {
      return {
        cluster: options.cluster,
        version: options.version,
        caPins: authorities.pins(),
        retention: {events: retention.events ?? null, recordings: retention.recordings ?? null},
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
