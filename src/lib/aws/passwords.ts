/**
 * The password for a sign-in to a database on AWS, by its type:
 *
 *   rds, rdsproxy        [role] ──► token, signed here for the registered endpoint
 *   redshift, user       [role] ──► GetClusterCredentials(user)
 *   redshift, role/NAME  [role] ──► role/NAME ──► GetClusterCredentialsWithIAM
 *   redshift-serverless  [role] ──► role NAME ──► GetCredentials
 *
 * `[role]` is the database's assume_role_arn. Its external id is used once, at the first role of the chain.
 */
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {Secret} from '../core/secret.js'
import {readDatabaseName, readDatabaseUser, type DatabaseUser} from '../resources/database-user.js'
import {accountOfArn, chainOf, roleArn, type AwsDatabase} from './aws-database.js'
import type {AwsClients, Caller} from './clients.js'
import type {AwsIdentities, RoleHop} from './identities.js'
import {signRdsToken, tokenLifetime} from './rds-token.js'
import {askForRole, askForUser, askForWorkgroup, type IssuedPassword} from './redshift-password.js'

export interface PasswordRequest {
  readonly database: AwsDatabase
  /** As the client names them. */
  readonly dbUser: string
  readonly dbName: string
  /** One that the database refused: another is wanted. */
  readonly refused?: Secret | undefined
}

/** What to sign in with: on Redshift not the names that the client gave. */
export interface DatabasePassword {
  readonly user: string
  readonly dbName: string
  readonly password: Secret
}

export interface DatabasePasswordsOptions {
  readonly clients: AwsClients
  readonly identities: AwsIdentities
  readonly clock: Clock
}

/** Left of a password's life when it is used last: a sign-in takes a while, and clocks differ. */
const margin = 60_000

interface Entry {
  readonly issued: Promise<IssuedPassword>
  /** Wall-clock milliseconds; 0 until it is known. */
  usableUntil: number
}

/** Database passwords, each used again until a minute before its end. */
export class DatabasePasswords {
  readonly #options: DatabasePasswordsOptions
  readonly #entries = new Map<string, Entry>()

  constructor(options: DatabasePasswordsOptions) {
    this.#options = options
  }

  /** @throws PosternError saying which request to AWS failed, and what it needs */
  async get(request: PasswordRequest): Promise<DatabasePassword> {
    const {identities} = this.#options
    const {database} = request
    const {user, chain, region} = await this.path(request)
    const dbName = readDatabaseName(database.type, request.dbName)
    const wanted: Wanted = {database, user, dbName, chain, region}
    const {accessKeyId} = await identities.session({chain, region})
    const {user: name, password} = await this.#issued(wanted, accessKeyId, request.refused)
    return {user: name, dbName, password}
  }

  /** The roles that a sign-in goes through, and where. @throws PosternError INVALID for a user that cannot be one */
  async path({database, dbUser}: Pick<PasswordRequest, 'database' | 'dbUser'>): Promise<SignInPath> {
    const region = database.settings.region ?? (await this.#options.clients.defaultRegion())
    const user = readDatabaseUser(database.type, dbUser)
    return {user, region, chain: await this.#chainFor(database, user, region)}
  }

  async #issued(wanted: Wanted, accessKeyId: string, refused?: Secret): Promise<IssuedPassword> {
    const now = this.#options.clock.now()
    for (const [key, {usableUntil}] of this.#entries) {
      if (usableUntil !== 0 && usableUntil <= now) this.#entries.delete(key)
    }
    const key = keyOf(wanted, accessKeyId)
    for (let known = this.#entries.get(key); known;) {
      const issued = await known.issued
      if (issued.password !== refused) return issued
      // Somebody else may have replaced it meanwhile.
      const current = this.#entries.get(key)
      if (current === known) break
      known = current
    }
    const entry: Entry = {issued: this.#issue(wanted), usableUntil: 0}
    this.#entries.set(key, entry)
    try {
      const issued = await entry.issued
      entry.usableUntil = issued.expires - margin
      return issued
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#entries.delete(key)
      throw error
    }
  }

  async #issue({database, user, dbName, chain, region}: Wanted): Promise<IssuedPassword> {
    const {clients, identities, clock} = this.#options
    const session = await identities.session({chain, region, minimumLifetime: tokenLifetime})
    const caller: Caller = {session, region}
    const {type, endpoint, settings} = database
    if (type === 'redshift') {
      const request = {clients, caller, clusterId: settings.redshift?.cluster_id ?? '', dbName}
      return user.kind === 'role' ? askForRole(request) : askForUser({...request, dbUser: user.name})
    }
    if (type === 'redshift-serverless') {
      return askForWorkgroup({clients, caller, workgroup: workgroupOf(database), dbName})
    }
    const password = await signRdsToken({endpoint, region, user: user.name, session})
    return {user: user.name, password, expires: Math.min(clock.now() + tokenLifetime, session.expires ?? Infinity)}
  }

  /** The roles that are assumed for this user, in order. */
  async #chainFor(database: AwsDatabase, user: DatabaseUser, region: string): Promise<readonly RoleHop[]> {
    const chain = chainOf(database)
    if (user.kind === 'name') return chain
    if (!roleForm.test(user.name)) throw notARole(user.name)
    const {identities} = this.#options
    const owner =
      database.settings.account_id ??
      accountOfArn(database.role?.arn) ??
      (await identities.accountOf(await identities.session({chain, region}), region))
    return [...chain, {arn: roleArn(user, region, owner), externalId: database.externalId}]
  }
}

/** As whom, and where, AWS is asked for a password. */
export interface SignInPath {
  readonly user: DatabaseUser
  readonly chain: readonly RoleHop[]
  readonly region: string
}

interface Wanted extends SignInPath {
  readonly database: AwsDatabase
  readonly dbName: string
}

function workgroupOf({name, settings}: AwsDatabase): string {
  const workgroup = settings.redshift_serverless?.workgroup_name
  if (workgroup !== undefined) return workgroup
  throw new PosternError('FAILED', `The Redshift Serverless workgroup of the database "${name}" is not known.`, {
    hint: 'Give the identity of the agent redshift-serverless:GetEndpointAccess, or set aws.redshift_serverless.workgroup_name.',
  })
}

/** A name of an IAM role, with its path. */
const roleForm = /^[\w+=,.@/-]{1,512}$/

function notARole(name: string): PosternError {
  return new PosternError('INVALID', `"${name}" is not the name of an IAM role.`, {
    hint: 'Give the role’s name or ARN as database user, without "IAM:" or "IAMR:" in front.',
  })
}

function keyOf({database, user, dbName, chain, region}: Wanted, accessKeyId: string): string {
  const {type, endpoint, settings} = database
  // A token for RDS opens every database of the instance.
  const target = type === 'redshift' || type === 'redshift-serverless' ? [settings, dbName] : []
  return JSON.stringify([type, endpoint, user, chain, region, accessKeyId, ...target])
}
