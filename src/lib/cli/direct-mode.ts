import {lookup} from 'node:dns/promises'
import type {DatabaseCertificate, DatabaseCertificateFiles} from '../config/database-certificates.js'
import {ProfileStore, type Profile} from '../config/profile.js'
import {PosternError} from '../core/errors.js'
import {shellWord} from '../core/shell-word.js'
import {isFresh} from '../pki/renewal.js'
import {databaseServerName} from '../resources/route.js'
import {requireProfile, type LoginChoice} from './connection.js'
import {onlyStored, openDatabaseSession} from './database-session.js'
import type {Surroundings} from './environment.js'
import {profileLogin} from './user-login.js'

/** What a PostgreSQL client needs to go to the proxy by itself, certificate in hand. */
export interface DirectConnection {
  readonly name: string
  /** The route. It is no DNS name: the client dials `hostaddr` and sends this in its ClientHello. */
  readonly host: string
  /** An IP address of the proxy; absent when it cannot be resolved here. */
  readonly hostaddr?: string
  readonly port: number
  readonly user: string
  readonly database: string
  /** Paths of PEM files. */
  readonly ca: string
  readonly cert: string
  readonly key: string
}

interface DirectOptions extends Surroundings {
  readonly database?: string | undefined
}

/**
 * How other clients connect to a database one is logged in to.
 * A certificate that has expired, or soon will, is renewed.
 * @throws PosternError NOT_LOGGED_IN or EXPIRED with the command that helps, USAGE; UNREACHABLE when it cannot be renewed
 */
export async function describeDirect(choice: LoginChoice, options: DirectOptions): Promise<DirectConnection> {
  if (choice.identity !== undefined) {
    throw new PosternError('USAGE', 'An identity file leaves no certificate for other clients.', {
      hint: 'Use `postern proxy db --tunnel`, or log in.',
    })
  }
  const store = new ProfileStore(options.environment.home)
  const profile = await requireProfile(store, choice)
  const files = store.databases(profile)
  const stored = await requireStored(files, options.database)
  if (!isFresh(Date.parse(stored.expires), options.clock.now())) {
    const login = await profileLogin(store, profile, options.clock)
    // The files of the certificate are those of before, with a new one in them.
    await openDatabaseSession({login, selector: {name: stored.route.database}, clock: options.clock})
  }
  return describe(profile, stored, {
    hostaddr: await resolve(profile.proxy.host),
    ca: store.hostAuthoritiesFile(profile),
    ...pathsOf(files, stored),
  })
}

async function requireStored(
  files: DatabaseCertificateFiles,
  database: string | undefined,
): Promise<DatabaseCertificate> {
  if (database === undefined) {
    const stored = await files.list()
    if (stored.length > 0) return onlyStored(stored)
    throw new PosternError('NOT_LOGGED_IN', 'You are not logged in to any database.', {
      hint: 'Run `postern db login NAME`; `postern db ls` lists the databases.',
    })
  }
  const stored = await files.read(database)
  if (stored) return stored
  throw new PosternError('NOT_LOGGED_IN', `You are not logged in to database "${database}".`, {
    hint: `Run \`postern db login ${database}\`.`,
  })
}

function pathsOf(files: DatabaseCertificateFiles, {route}: DatabaseCertificate): {cert: string; key: string} {
  const {certificate, key} = files.files(route.database)
  return {cert: certificate, key}
}

interface Places {
  readonly hostaddr: string | undefined
  readonly ca: string
  readonly cert: string
  readonly key: string
}

function describe(profile: Profile, {route}: DatabaseCertificate, {hostaddr, ...paths}: Places): DirectConnection {
  return {
    name: route.database,
    host: databaseServerName(route.database, profile.cluster),
    ...(hostaddr === undefined ? {} : {hostaddr}),
    port: profile.proxy.port,
    user: route.dbUser,
    database: route.dbName,
    ...paths,
  }
}

async function resolve(host: string): Promise<string | undefined> {
  return lookup(host).then(
    ({address}) => address,
    () => undefined,
  )
}

/** Environment variables of libpq 14 and newer. */
export function libpqVariables(connection: DirectConnection): Record<string, string> {
  return {
    PGHOST: connection.host,
    ...(connection.hostaddr === undefined ? {} : {PGHOSTADDR: connection.hostaddr}),
    PGPORT: String(connection.port),
    PGUSER: connection.user,
    PGDATABASE: connection.database,
    PGSSLMODE: 'verify-full',
    PGSSLROOTCERT: connection.ca,
    PGSSLCERT: connection.cert,
    PGSSLKEY: connection.key,
    PGSSLSNI: '1',
    PGGSSENCMODE: 'disable',
  }
}

/** `psql "host=… …"`, for a POSIX shell. */
export function psqlCommand(connection: DirectConnection): string {
  const parameters: [string, string | number | undefined][] = [
    ['host', connection.host],
    ['hostaddr', connection.hostaddr],
    ['port', connection.port],
    ['user', connection.user],
    ['dbname', connection.database],
    ['sslmode', 'verify-full'],
    ['sslrootcert', connection.ca],
    ['sslcert', connection.cert],
    ['sslkey', connection.key],
    ['gssencmode', 'disable'],
  ]
  const words = parameters.flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${quoteValue(String(value))}`],
  )
  return `psql ${quoteWord(words.join(' '))}`
}

/** PostgreSQL 34.1.1.1: values with spaces, quotes or backslashes stand in single quotes. */
function quoteValue(value: string): string {
  if (/^[^\s'\\]+$/.test(value)) return value
  return `'${value.replace(/['\\]/g, (character) => `\\${character}`)}'`
}

/** One word for a POSIX shell, in double quotes where those do, which are easier to change by hand. */
export function quoteWord(word: string): string {
  const safe = shellWord(word)
  return safe === word || /[`$"\\!]/.test(word) ? safe : `"${word}"`
}
