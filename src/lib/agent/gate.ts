import type {X509Certificate} from 'node:crypto'
import type {SessionOptions} from '../access/session-options.js'
import {compileRole} from '../access/compiled-role.js'
import {messageOf, PosternError, toPosternError} from '../core/errors.js'
import type {Clock} from '../core/clock.js'
import type {RecordingMode} from '../resources/session-recording-config.js'
import type {Greeting, RefusalCode} from '../tunnel/greeting.js'
import {
  checkExpiry,
  checkStanding,
  effectiveRoles,
  identify,
  judge,
  type AdmissionRules,
  type Guest,
} from './admission.js'
import type {Cache} from './cache.js'
import type {Catalog, Served} from './catalog.js'
import type {Arrival} from './entrance.js'

export interface GateOptions {
  readonly hostId: string
  readonly cache: Cache
  readonly catalog: Catalog
  readonly clock: Clock
  /** Staleness above which nobody new gets in. */
  readonly cacheTtlMilliseconds: number
  /** Databases, in lower case, that the control plane does not want from this host. */
  readonly refusedDatabases: () => ReadonlyMap<string, string>
}

/** Certificates remembered. */
const maximumIdentified = 1024

/** What the checks before a session say. */
export type Passage =
  | {readonly ok: true; readonly guest: Guest; readonly served: Served}
  | {
      readonly ok: false
      readonly code: RefusalCode
      readonly error: PosternError
      /** Who it is, as far as that is certain. */
      readonly guest?: Guest
    }

/** What a client of ours is told. @param explanation how an administrator learns more of a denial */
export function greetingOf(passage: Passage, explanation: string): Greeting {
  if (passage.ok) return {ok: true}
  const {code, error, guest} = passage
  const hint = [...error.hints, ...(code === 'denied' && guest ? [explanation] : [])].join(' ')
  return {ok: false, code, message: error.message, ...(hint !== '' && {hint})}
}

/** Decides who gets in, from what the agent knows at this moment. */
export class Gate {
  /** Nobody new gets in any more. */
  draining = false
  readonly #options: GateOptions
  /** By fingerprint. Signatures and identities cost, and stay what they are as long as the authorities do; expiry and standing do not. */
  readonly #identified = new Map<string, {readonly authorities: readonly string[]; readonly guest: Guest}>()

  constructor(options: GateOptions) {
    this.#options = options
  }

  /** Checked after the handshake, and again before the session starts: a spare connection may have waited in between. */
  check({certificate, route}: Arrival): Passage {
    const {cache, catalog, cacheTtlMilliseconds, refusedDatabases} = this.#options
    if (this.draining) {
      return refuse(
        'draining',
        new PosternError('UNREACHABLE', 'This agent is shutting down.', {hint: 'Connect again.'}),
      )
    }
    if (cache.staleness() > cacheTtlMilliseconds) return refuse('stale', staleError())
    if (!certificate) {
      const hint = 'Give your client the certificate and key that `postern db login` wrote.'
      return refuse('denied', new PosternError('NOT_LOGGED_IN', 'The connection came without a certificate.', {hint}))
    }
    let guest: Guest | undefined
    try {
      guest = this.#identify(certificate)
      checkStanding(guest, this.#rules())
      checkExpiry(guest, this.#rules())
    } catch (error) {
      const failure = toPosternError(error)
      return refuse(failure.code === 'EXPIRED' ? 'expired' : 'denied', failure, guest)
    }
    const {database} = guest.route
    if (route.kind === 'direct' && route.database !== database.toLowerCase()) {
      const message = `The connection is for database "${route.database}", but its certificate is for "${database}".`
      return refuse('denied', new PosternError('ACCESS_DENIED', message), guest)
    }
    const served = catalog.find(database)
    if (!served || refusedDatabases().has(database.toLowerCase())) {
      const message = `This agent does not serve the database "${database}".`
      return refuse('unreachable', new PosternError('UNREACHABLE', message), guest)
    }
    return {ok: true, guest, served}
  }

  /** How sessions that begin now are recorded. */
  get recordingMode(): RecordingMode {
    return this.#options.cache.recordingMode
  }

  /** Whose query a connection may cancel; an expired certificate is good enough for that. */
  checkCancel({certificate}: Arrival): Guest | undefined {
    if (!certificate) return undefined
    try {
      const guest = this.#identify(certificate)
      checkStanding(guest, this.#rules())
      return guest
    } catch {
      return undefined
    }
  }

  /** The decision of the roles. @throws PosternError INVALID when a stored role cannot be read */
  judge(guest: Guest, served: Served): ReturnType<typeof judge> {
    return judge(guest, served.database, this.#rules())
  }

  /** Whether a role of theirs could allow too much as long as not all labels of a database are known. @throws as judge */
  needsAllLabels(guest: Guest): boolean {
    const {cache} = this.#options
    return effectiveRoles(guest, cache).some((name) => {
      const role = cache.roles.get(name)
      return role !== undefined && compileRole(role).needsAllLabels
    })
  }

  /** Whether a session may go on, and within which limits. Its certificate may have expired. */
  verdict(guest: Guest): {readonly options: SessionOptions} | {readonly objection: string} {
    try {
      const served = this.#options.catalog.find(guest.route.database)
      if (!served) return {objection: `The database "${guest.route.database}" is no longer served here.`}
      this.#identify(guest.certificate)
      checkStanding(guest, this.#rules())
      const decision = this.judge(guest, served)
      return decision.allowed ? {options: decision.options} : {objection: decision.message}
    } catch (error) {
      return {objection: messageOf(error)}
    }
  }

  #identify(certificate: X509Certificate): Guest {
    const authorities = this.#options.cache.authorities('user')
    const {fingerprint256} = certificate
    const known = this.#identified.get(fingerprint256)
    if (known?.authorities === authorities) return known.guest
    const guest = identify(certificate, this.#rules())
    if (this.#identified.size >= maximumIdentified) this.#identified.clear()
    this.#identified.set(fingerprint256, {authorities, guest})
    return guest
  }

  #rules(): AdmissionRules {
    const {cache, hostId, clock} = this.#options
    return {cache, hostId, now: clock.now()}
  }
}

function refuse(code: RefusalCode, error: PosternError, guest?: Guest): Passage {
  return {ok: false, code, error, ...(guest && {guest})}
}

function staleError(): PosternError {
  return new PosternError(
    'UNREACHABLE',
    'This agent has lost touch with the control plane, so it cannot tell who may come in.',
    {hint: 'Try again in a moment; if it stays, check the connection between the agent and the cluster.'},
  )
}
