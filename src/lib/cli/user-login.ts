import {ApiClient} from '../api/client.js'
import {DatabaseCertificateMemory, type DatabaseCertificates} from '../config/database-certificates.js'
import {identityExpires, type FileIdentity} from '../config/identity-file.js'
import type {Profile, ProfileStore} from '../config/profile.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import {formatAddress, type Address} from '../resources/endpoint.js'
import {authServerName} from '../resources/route.js'
import type {Credentials} from '../pki/credentials.js'

/** Somebody whom the control plane knows. */
export interface Connection {
  readonly cluster: string
  /** PEM certificates of the host CA. */
  readonly hostAuthorities: readonly string[]
  /** One exchange with the control plane. @throws PosternError NOT_LOGGED_IN, EXPIRED, or what the exchange throws */
  ask<T>(question: (client: ApiClient) => Promise<T>): Promise<T>
}

/** A person's login: what every `db` command starts from. */
export interface UserLogin extends Connection {
  readonly user: string
  readonly proxy: Address
  readonly databases: DatabaseCertificates
}

/** The login in a profile. Credentials are read for each exchange, so a new login in another terminal counts at once. */
export async function profileLogin(store: ProfileStore, profile: Profile, clock: Clock): Promise<UserLogin> {
  return {
    user: profile.user,
    cluster: profile.cluster,
    proxy: profile.proxy,
    hostAuthorities: await store.hostAuthorities(profile),
    databases: store.databases(profile),
    ask: async (question) => {
      const now = await store.read(profile.proxy.host)
      if (now?.user !== profile.user) throw notLoggedIn(profile)
      if (Date.parse(now.expires) <= clock.now()) throw loginExpired(now)
      return askThrough(
        {
          address: now.proxy,
          cluster: now.cluster,
          hostAuthorities: await store.hostAuthorities(now),
          credentials: await store.credentials(now),
        },
        question,
      )
    },
  }
}

/** The login in an identity file. Nothing is written to the profile. */
export function identityLogin(identity: FileIdentity, proxy: Address, clock: Clock): UserLogin {
  return {
    user: identity.user,
    cluster: identity.cluster,
    proxy,
    hostAuthorities: identity.hostAuthorities,
    databases: new DatabaseCertificateMemory(),
    ask: (question) => {
      if (identityExpires(identity) <= clock.now()) {
        throw new PosternError('EXPIRED', `The identity of ${identity.user} in this file has expired.`, {
          hint: 'Have a new one made with `postern auth sign --format=file`.',
        })
      }
      return askThrough({...identity, address: proxy}, question)
    },
  }
}

interface Destination {
  readonly address: Address
  readonly cluster: string
  readonly hostAuthorities: readonly string[]
  readonly credentials: Credentials
}

/** One exchange over a connection of its own, closed at its end. */
export async function askThrough<T>(
  {address, cluster, hostAuthorities, credentials}: Destination,
  question: (client: ApiClient) => Promise<T>,
): Promise<T> {
  const client = new ApiClient({
    ...address,
    serverName: authServerName(cluster),
    authorities: hostAuthorities,
    credentials: () => credentials,
  })
  try {
    return await question(client)
  } finally {
    await client.close()
  }
}

export function loginExpired(profile: Profile): PosternError {
  return new PosternError('EXPIRED', `Your login to ${profile.proxy.host} has expired.`, {hint: loginHint(profile)})
}

function notLoggedIn(profile: Profile): PosternError {
  return new PosternError('NOT_LOGGED_IN', `${profile.user} is no longer logged in to ${profile.proxy.host}.`, {
    hint: loginHint(profile),
  })
}

function loginHint({proxy, user}: Profile): string {
  return `Run \`postern login --proxy=${formatAddress(proxy)} --user=${user}\`.`
}
