import {setTimeout as sleep} from 'node:timers/promises'
import {denies} from '../access/rules.js'
import type {SessionsResponse} from '../api/live-session.js'
import type {KillSessionRequest} from '../api/requests.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {Verb} from '../resources/role.js'
import type {AuditLog} from './audit-log.js'
import {actorFields, askerOf, mayCall, missingPermission, type Caller} from './caller.js'
import type {Stores} from './stores.js'
import type {Watches} from './watch.js'

export interface LiveSessionsOptions {
  readonly watches: Pick<Watches, 'sessions'>
  readonly stores: Stores
  readonly audit: AuditLog
  readonly clock: Clock
}

type Session = SessionsResponse['sessions'][number]

/** The kind of resource that roles name. */
const resource = 'session'
/** An agent that was away for less hears of it when it is back. */
const endingMilliseconds = 3_600_000
/** For an agent to confirm an end. */
const confirmations = 25
const confirmMilliseconds = 200

/** The sessions that are under way, as their agents tell them; each question is authorised by itself. */
export class LiveSessions {
  readonly #options: LiveSessionsOptions

  constructor(options: LiveSessionsOptions) {
    this.#options = options
  }

  /** All of them for whose roles say so; for other users, their own. */
  async list(caller: Caller): Promise<SessionsResponse> {
    if (caller.kind !== 'user' && !mayCall(caller, resource, 'list')) throw missingPermission(resource, 'list')
    const {sessions, silent} = await this.#options.watches.sessions()
    return {sessions: sessions.filter((session) => may(caller, 'list', session)), silent}
  }

  /**
   * Ends a session, with the query that it runs.
   * @throws PosternError ACCESS_DENIED also when there is no such session, for who may not end those of others; NOT_FOUND
   */
  async kill(sid: string, {reason}: KillSessionRequest, caller: Caller): Promise<{ended: boolean}> {
    const {watches, stores, audit, clock} = this.#options
    const {sessions, holders} = await watches.sessions()
    const session = sessions.find((each) => each.sid === sid)
    const isAllowed = session ? may(caller, 'delete', session) : mayCall(caller, resource, 'delete')
    if (!isAllowed) {
      throw new PosternError('ACCESS_DENIED', `Session ${sid} is over, or your roles do not allow you to end it.`, {
        hint: '`postern sessions ls` lists the sessions that you may see.',
      })
    }
    if (!session) {
      throw new PosternError('NOT_FOUND', `There is no session ${sid} under way.`, {
        hint: '`postern sessions ls` lists them.',
      })
    }
    const {hostId} = session
    const actor = actorFields(caller)
    const sentence = `The session was ended by ${actor.user}${reason === undefined ? '.' : `: ${reason}`}`
    await audit.append('session.kill', {
      ...actor,
      sid,
      server_id: hostId,
      session_user: session.user,
      db_service: session.database,
      ...(reason !== undefined && {reason}),
    })
    await stores.endings.put(sid, {hostId, reason: sentence}, clock.now() + endingMilliseconds)
    for (let round = 0; round < confirmations; round += 1) {
      await sleep(confirmMilliseconds)
      const now = await watches.sessions(hostId)
      // Its process may be away: the others know nothing of the session.
      if (now.followers.has(holders.get(sid) ?? '') && !now.holders.has(sid)) return {ended: true}
    }
    return {ended: false}
  }
}

/** As the roles say it, and everybody with what is their own unless a role denies it. */
function may(caller: Caller, verb: Verb, {sid, user}: Session): boolean {
  const about = {session: {sid, participants: [user]}}
  if (mayCall(caller, resource, verb, about)) return true
  return caller.kind === 'user' && caller.name === user && denies(askerOf(caller), resource, verb, about) === false
}
