import {access, constants} from 'node:fs/promises'
import {join} from 'node:path'
import {readIdentityFile, type FileIdentity} from '../config/identity-file.js'
import {ProfileStore, type Profile} from '../config/profile.js'
import {PosternError} from '../core/errors.js'
import {parseAddress, type Address} from '../resources/endpoint.js'
import {configFiles} from './calling-name.js'
import type {Surroundings} from './environment.js'
import {parseProxyAddress} from './proxy-address.js'
import {asUsage} from './usage.js'
import {askThrough, identityLogin, profileLogin, type Connection, type UserLogin} from './user-login.js'

/** The values of `loginFlags`. */
export interface LoginChoice {
  readonly proxy?: string | undefined
  readonly user?: string | undefined
  readonly identity?: string | undefined
}

/** The values of `adminFlags`. */
export interface AdminChoice extends LoginChoice {
  readonly config?: string | undefined
  readonly 'auth-server'?: string | undefined
}

/** Where the control plane of this host leaves the identity with which its administrator works. */
const adminIdentityFile = 'admin-identity.pem'
/** Where a proxy is dialled when an identity file names no port. */
const defaultProxyPort = 443
const defaultAuthPort = 3025

/** The login of an identity file. @throws PosternError USAGE when neither it nor the flags name a proxy */
export function openIdentity(identity: FileIdentity, choice: LoginChoice, {clock}: Surroundings): UserLogin {
  return identityLogin(identity, identityProxy(choice, identity.proxy), clock)
}

/**
 * The login that `db` commands use: an identity file when one is named, else the profile.
 * @throws PosternError NOT_LOGGED_IN, or about the identity file
 */
export async function openUserLogin(choice: LoginChoice, {environment, clock}: Surroundings): Promise<UserLogin> {
  if (choice.identity !== undefined) {
    return openIdentity(await readIdentityFile(choice.identity), choice, {environment, clock})
  }
  const store = new ProfileStore(environment.home)
  return profileLogin(store, await requireProfile(store, choice), clock)
}

/**
 * The connection that administration uses: an identity file when one is named, else the identity that the Auth Service
 * on this host keeps for its administrator, else the profile.
 * @throws PosternError NOT_LOGGED_IN, or about the identity or configuration file
 */
export async function openAdminConnection(choice: AdminChoice, surroundings: Surroundings): Promise<Connection> {
  const named = choice['auth-server']
  const authServer = named === undefined ? undefined : asUsage(() => parseAddress(named, defaultAuthPort))
  if (choice.identity !== undefined) {
    const identity = await readIdentityFile(choice.identity)
    const address = authServer ?? identityProxy(choice, identity.proxy)
    return identityLogin(identity, address, surroundings.clock)
  }
  return (await hostAdministrator(choice.config, authServer)) ?? openUserLogin(choice, surroundings)
}

function identityProxy(choice: LoginChoice, known: string | undefined): Address {
  const proxy = choice.proxy ?? known
  if (proxy !== undefined) {
    const {host, port = defaultProxyPort} = parseProxyAddress(proxy)
    return {host, port}
  }
  throw new PosternError('USAGE', 'The identity file does not say which proxy it is for.', {
    hint: 'Name it with --proxy.',
  })
}

/** The administrator of the Auth Service on this host; undefined when there is none, or its files are not for us. */
async function hostAdministrator(config: string | undefined, server?: Address): Promise<Connection | undefined> {
  // A file that was named must be there; loadConfig says so.
  const file = config ?? (await firstReadable(configFiles()))
  if (file === undefined) return undefined
  const {loadConfig} = await import('../config/file.js')
  const {authService, dataDir} = await loadConfig(file)
  if (!authService.enabled) return undefined
  const identityFile = join(dataDir, adminIdentityFile)
  if (!(await isReadable(identityFile))) {
    if (config === undefined) return undefined
    throw new PosternError('FAILED', `The identity of this host's administrator, ${identityFile}, cannot be read.`, {
      hint: 'Run the command as root or as the user of the Auth Service, which writes it when it first starts.',
    })
  }
  const {cluster, hostAuthorities, credentials} = await readIdentityFile(identityFile)
  const address = server ?? reachable(authService.listenAddr)
  return {
    cluster,
    hostAuthorities,
    ask: (question) => askThrough({address, cluster, hostAuthorities, credentials}, question),
  }
}

/** Somebody who listens everywhere listens on loopback too. */
function reachable({host, port}: Address): Address {
  return {host: host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host, port}
}

async function firstReadable(files: readonly string[]): Promise<string | undefined> {
  for (const file of files) if (await isReadable(file)) return file
  return undefined
}

function isReadable(file: string): Promise<boolean> {
  return access(file, constants.R_OK).then(
    () => true,
    () => false,
  )
}

/** The profile that the choice means. @throws PosternError NOT_LOGGED_IN */
export async function requireProfile(store: ProfileStore, {proxy, user}: LoginChoice): Promise<Profile> {
  const wanted = proxy === undefined ? undefined : parseProxyAddress(proxy)
  const profile = await store.read(wanted?.host)
  const at = wanted?.host ?? profile?.proxy.host
  const hint = `Run \`postern login --proxy=${proxy ?? profile?.proxy.host ?? 'HOST'}${user ? ` --user=${user}` : ''}\`.`
  if (!profile || (wanted?.port !== undefined && wanted.port !== profile.proxy.port)) {
    throw new PosternError('NOT_LOGGED_IN', `You are not logged in${at ? ` to ${at}` : ''}.`, {hint})
  }
  if (user !== undefined && user !== profile.user) {
    throw new PosternError('NOT_LOGGED_IN', `You are logged in to ${at ?? ''} as ${profile.user}, not as ${user}.`, {
      hint,
    })
  }
  return profile
}
