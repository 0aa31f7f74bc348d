import type {ApiClient} from '../api/client.js'
import type {DatabaseCertificate, DatabaseCertificates, StoredRoute} from '../config/database-certificates.js'
import {systemClock, type Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {Secret} from '../core/secret.js'
import type {Upstream, UpstreamSource} from '../localproxy/upstream.js'
import {publicKeyOf} from '../pki/keys.js'
import {isFresh} from '../pki/renewal.js'
import {chooseAccount} from './database-account.js'
import {isEmpty, selectDatabase, type DatabaseSelector} from './database-selection.js'
import type {UserLogin} from './user-login.js'

export interface DatabaseSessionOptions {
  readonly login: UserLogin
  readonly selector: DatabaseSelector
  readonly dbUser?: string | undefined
  readonly dbName?: string | undefined
  readonly clock?: Clock
}

/**
 * One database as one database user, ready to be dialled. A certificate that was fetched before for the same route is
 * used without asking the control plane.
 */
export class DatabaseSession implements UpstreamSource {
  /** What the user should be told, on standard error. */
  readonly notices: readonly string[]
  readonly #login: UserLogin
  #privateKey: Secret
  readonly #clock: Clock
  #certificate: DatabaseCertificate
  #renewal: Promise<Upstream> | undefined

  constructor(
    {certificate, privateKey}: Held,
    {login, clock, notices}: {login: UserLogin; clock: Clock; notices: readonly string[]},
  ) {
    this.#certificate = certificate
    this.#privateKey = privateKey
    this.#login = login
    this.#clock = clock
    this.notices = notices
  }

  get route(): StoredRoute {
    return this.#certificate.route
  }

  /** End of the certificate, in milliseconds since 1970. */
  get expires(): number {
    return Date.parse(this.#certificate.expires)
  }

  /** What to dial and with what, as it is now. */
  get upstream(): Upstream {
    const {proxy, cluster, hostAuthorities} = this.#login
    const {certificate, agents, directAddresses} = this.#certificate
    const credentials = {certificate, privateKey: this.#privateKey}
    return {proxy, cluster, hostAuthorities, agents, directAddresses, credentials}
  }

  /** With a certificate that is good for a new connection: renewed when its end is near. @throws PosternError */
  async current(): Promise<Upstream> {
    return isFresh(this.expires, this.#clock.now()) ? this.upstream : this.refreshed()
  }

  /** With a new certificate and a new list of agents; callers at the same time share one exchange. @throws PosternError */
  refreshed(): Promise<Upstream> {
    this.#renewal ??= this.#renew().finally(() => {
      this.#renewal = undefined
    })
    return this.#renewal
  }

  async #renew(): Promise<Upstream> {
    const login = this.#login
    const held = await login.ask((client) => fetchCertificate(client, login.databases, this.route))
    this.#certificate = held.certificate
    // Another one since a login or logout meanwhile.
    this.#privateKey = held.privateKey
    return this.upstream
  }
}

/**
 * Finds out which database is meant, as which user, and has a certificate for it.
 * @throws PosternError NOT_FOUND, USAGE, ACCESS_DENIED, NOT_LOGGED_IN, EXPIRED, UNREACHABLE
 */
export async function openDatabaseSession(options: DatabaseSessionOptions): Promise<DatabaseSession> {
  const {login, clock = systemClock} = options
  const stored = await findStored(options)
  if (stored && isSameRoute(stored.route, options) && isFresh(Date.parse(stored.expires), clock.now())) {
    const privateKey = await login.databases.privateKey(stored.route.database)
    return new DatabaseSession({certificate: stored, privateKey}, {login, clock, notices: []})
  }
  const {held, notices} = await login.ask((client) => requestSession(client, options, stored))
  return new DatabaseSession(held, {login, clock, notices})
}

/** The stored certificate that the selector means: of this name, or the only one when nothing is selected. */
async function findStored({login, selector}: DatabaseSessionOptions): Promise<DatabaseCertificate | undefined> {
  if (isEmpty(selector)) return onlyStored(await login.databases.list())
  // Labels can only be judged by the control plane's list.
  return selector.name !== undefined && !selector.labels ? login.databases.read(selector.name) : undefined
}

/** @throws PosternError USAGE when there is none, or more than one */
export function onlyStored(stored: readonly DatabaseCertificate[]): DatabaseCertificate {
  const [first, ...others] = stored
  if (!first) {
    throw new PosternError('USAGE', 'No database is named.', {
      hint: 'Name one, or select it with --labels; `postern db ls` lists them.',
    })
  }
  if (others.length > 0) {
    const names = stored.map(({route}) => route.database)
    throw new PosternError('USAGE', `You are logged in to several databases: ${names.join(', ')}.`, {
      hint: 'Name the one you mean.',
    })
  }
  return first
}

/** Whether a stored route is what the user asks for: what is left out is as it was. */
function isSameRoute(stored: StoredRoute, {dbUser, dbName}: DatabaseSessionOptions): boolean {
  return (dbUser ?? stored.dbUser) === stored.dbUser && (dbName ?? stored.dbName) === stored.dbName
}

/** A certificate and the key that it is for. */
interface Held {
  readonly certificate: DatabaseCertificate
  readonly privateKey: Secret
}

interface Granted {
  readonly held: Held
  readonly notices: readonly string[]
}

async function requestSession(
  client: ApiClient,
  options: DatabaseSessionOptions,
  stored: DatabaseCertificate | undefined,
): Promise<Granted> {
  const {login, selector} = options
  const wish = wishOf(options, stored)
  const fetch = (route: StoredRoute): Promise<Held> => fetchCertificate(client, login.databases, route)
  const exact = exactRoute(stored ? {name: stored.route.database} : selector, wish)
  if (exact) {
    try {
      return {held: await fetch(exact), notices: []}
    } catch (error) {
      // Perhaps it is the name that a discovered database has in its cloud: the list tells.
      if (!(error instanceof PosternError) || error.code !== 'NOT_FOUND') throw error
    }
  }
  const {databases} = await client.visibleDatabases()
  const database = selectDatabase(databases, stored ? {name: stored.route.database} : selector)
  const {name} = database.database.metadata
  const {notices, ...account} = chooseAccount(database, wishOf(options, stored ?? (await login.databases.read(name))))
  return {held: await fetch({database: name, ...account}), notices}
}

/** What is left out is as it was, the database name only for the same user. */
function wishOf(
  {dbUser, dbName}: DatabaseSessionOptions,
  stored: DatabaseCertificate | undefined,
): {readonly dbUser: string | undefined; readonly dbName: string | undefined} {
  const route = stored?.route
  const usualName = dbUser === undefined || dbUser === route?.dbUser ? route?.dbName : undefined
  return {dbUser: dbUser ?? route?.dbUser, dbName: dbName ?? usualName}
}

/** A route that is named completely needs no list of databases. */
function exactRoute(
  {name, labels}: DatabaseSelector,
  {dbUser, dbName}: {readonly dbUser: string | undefined; readonly dbName: string | undefined},
): StoredRoute | undefined {
  if (name === undefined || labels || dbUser === undefined || dbName === undefined) return undefined
  return {database: name, dbUser, dbName}
}

async function fetchCertificate(
  client: ApiClient,
  certificates: DatabaseCertificates,
  {database, dbUser, dbName}: StoredRoute,
): Promise<Held> {
  const privateKey = await certificates.privateKey(database)
  const publicKey = publicKeyOf(privateKey)
  const answer = await client.databaseCertificate({publicKey, database, dbUser, dbName})
  const certificate: DatabaseCertificate = {
    route: {database: answer.route.database, dbUser: answer.route.dbUser, dbName: answer.route.dbName},
    certificate: answer.certificate,
    agents: answer.agents.map(({hostId}) => hostId),
    directAddresses: Object.fromEntries(
      answer.agents.flatMap(({hostId, directAddress}) =>
        directAddress === undefined ? [] : [[hostId, directAddress]],
      ),
    ),
    expires: answer.expires,
  }
  await certificates.save(certificate)
  return {certificate, privateKey}
}
