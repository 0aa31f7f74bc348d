import {decide, targetOf} from '../access/decision.js'
import {ownView, remediesOf} from '../access/explanation.js'
import {viewOf} from '../access/listing.js'
import type {ExplainAccessRequest} from '../api/requests.js'
import type {AccessExplanation, DecisionResponse, ExplainAccessResponse} from '../api/responses.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {Database} from '../resources/database.js'
import type {DatabaseServer} from '../resources/database-server.js'
import type {Explanation} from '../resources/explanation.js'
import type {AuditLog} from './audit-log.js'
import {isAdmin, mayCall, missingPermission, type Caller} from './caller.js'
import {notVisible, subjectOf} from './database-access.js'
import {databaseKey, type Stores} from './stores.js'

export interface AccessExplainerOptions {
  readonly stores: Stores
  readonly audit: AuditLog
  readonly clock: Clock
}

/** Who is asked about, and how their roles are defined. */
type Person = Pick<Parameters<typeof decide>[0], 'subject' | 'roles'>

/** Where a database is known: at an agent that serves it, or as a resource that none serves. */
type Place = Database | DatabaseServer

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * Says why somebody gets in or not, with the function that agents decide with: everything to who may read roles, and to
 * others about themselves what their own roles say.
 */
export class AccessExplainer {
  readonly #options: AccessExplainerOptions

  constructor(options: AccessExplainerOptions) {
    this.#options = options
  }

  /**
   * What an agent would decide now.
   * @throws PosternError NOT_FOUND, ACCESS_DENIED when it is about somebody else and the caller may not read roles and users
   */
  async before(request: ExplainAccessRequest, caller: Caller): Promise<ExplainAccessResponse> {
    const {stores, clock} = this.#options
    const {database, dbUser, dbName = '', dbRoles = []} = request
    const own = caller.kind === 'user' && (request.user ?? caller.name) === caller.name
    const person = own
      ? {subject: subjectOf(caller), roles: caller.definitions}
      : await this.#other(request.user, caller)
    const servers = await stores.serversOf(database)
    const declared = await stores.databases.get(databaseKey(database))
    const locks = await stores.allLocks()
    const places: readonly Place[] = servers.length > 0 ? servers : declared ? [declared.value] : []
    const answers = new Map<string, AccessExplanation & {agents: AccessExplanation['agents'][number][]}>()
    const everything = readsRoles(caller)
    for (const place of visible(places, person, everything)) {
      const server = place.kind === 'db_server' ? place : undefined
      const {explanation} = decide({
        ...person,
        target: targetOf(databaseOf(place)),
        request: {dbUser, dbName: dbName === '' ? dbUser : dbName, dbRoles},
        locks,
        ...(server && {serverId: server.spec.host_id}),
        now: clock.now(),
      })
      const shown = everything ? explanation : ownView(explanation, person.subject.roles)
      const key = JSON.stringify(shown)
      const answer = answers.get(key) ?? {...explained(shown), agents: []}
      answers.set(key, answer)
      if (server) answer.agents.push(agentOf(server))
    }
    if (answers.size === 0) throw notVisible(database)
    return {answers: [...answers.values()]}
  }

  /**
   * A decision of an agent, by the id that it gave to the user.
   * @throws PosternError NOT_FOUND, also when it is not for the caller to know
   */
  async decision(id: string, caller: Caller): Promise<DecisionResponse> {
    const events = uuid.test(id)
      ? (await this.#options.audit.list({sid: id, event: ['db.session.start'], limit: 1})).events
      : []
    const [event] = events
    const everything = readsRoles(caller) && mayCall(caller, 'event', 'read')
    const own = caller.kind === 'user' && event?.user === caller.name
    if (event?.success !== false || !(everything || own)) {
      throw new PosternError('NOT_FOUND', `There is no denial with the id "${id}".`, {
        hint: 'It is in the message with which a connection was refused, and in the audit log under "sid".',
      })
    }
    const {time, user, server_id: hostId, server_hostname: hostname, message} = event
    // An agent of ours wrote it, from its own decision.
    const kept = event.decision as Explanation | undefined
    const shown = kept && (everything ? kept : ownView(kept, caller.kind === 'user' ? caller.roles : []))
    return {
      id,
      time: String(time),
      user: String(user),
      agent: {hostId: String(hostId), hostname: String(hostname)},
      message: String(message),
      ...(shown && explained(shown)),
    }
  }

  /** Somebody else, as a login made now would be. */
  async #other(name: string | undefined, caller: Caller): Promise<Person> {
    const {stores} = this.#options
    if (!readsRoles(caller)) throw missingPermission('role', 'read')
    if (!mayCall(caller, 'user', 'read')) throw missingPermission('user', 'read')
    if (name === undefined) throw new PosternError('INVALID', 'Whose access is it about? Name a user.')
    const record = await stores.users.get(name)
    if (!record) throw new PosternError('NOT_FOUND', `There is no user "${name}".`)
    const {roles, traits} = record.value.user.spec
    return {subject: {user: name, roles, traits}, roles: await stores.rolesNamed(roles)}
  }
}

/** Without the decisions that agents wrote down for who may read roles. */
export function withoutDecision(event: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(event).filter(([key]) => key !== 'decision'))
}

export function readsRoles(caller: Caller): boolean {
  return isAdmin(caller) || mayCall(caller, 'role', 'read')
}

/** Who may not read roles hears of databases that they see, as in their listing. */
function visible(places: readonly Place[], {subject, roles}: Person, everything: boolean): readonly Place[] {
  if (everything) return places
  const view = viewOf(subject, roles)
  return places.filter((place) => view(databaseOf(place).metadata.labels ?? {}))
}

const databaseOf = (place: Place): Database => (place.kind === 'db_server' ? place.spec.database : place)

const explained = (explanation: Explanation): Pick<AccessExplanation, 'explanation' | 'remedies'> => ({
  explanation,
  remedies: remediesOf(explanation),
})

function agentOf({spec, status}: DatabaseServer): AccessExplanation['agents'][number] {
  return {hostId: spec.host_id, hostname: spec.hostname, health: status.target_health.status}
}
