import {contactCluster, type Contact, type FirstTrust} from '../api/contact.js'
import {ApiClient} from '../api/client.js'
import type {Profile, ProfileMaterial, ProfileStore} from '../config/profile.js'
import {parseDuration} from '../core/duration.js'
import {PosternError} from '../core/errors.js'
import type {Secret} from '../core/secret.js'
import {generateKeys} from '../pki/keys.js'
import type {Address} from '../resources/endpoint.js'
import {authServerName} from '../resources/route.js'
import {candidateAddresses, probe, unreachable, type ProxyAddress} from './proxy-address.js'

/** A cluster that answered, and may be trusted with a password. */
export interface Meeting {
  readonly proxy: Address
  readonly contact: Contact
}

/**
 * Meets the cluster behind a proxy: by the host CA of an earlier login when nothing else is said, else as `trust` says.
 * @throws PosternError UNTRUSTED, UNREACHABLE, INVALID
 */
export async function meetCluster(proxy: ProxyAddress, trust: FirstTrust, store: ProfileStore): Promise<Meeting> {
  const known = await store.read(proxy.host)
  const isKnown = known !== undefined && (proxy.port === undefined || proxy.port === known.proxy.port)
  if (isKnown && !trust.pins?.length && trust.caFile === undefined && !trust.insecure) {
    return meetAgain(known, await store.hostAuthorities(known))
  }
  return meetFirst(proxy, trust)
}

async function meetAgain({proxy, cluster}: Profile, authorities: readonly string[]): Promise<Meeting> {
  const endpoint = {...proxy, serverName: authServerName(cluster), authorities}
  const client = new ApiClient(endpoint)
  try {
    return {proxy, contact: {find: await client.find(), endpoint}}
  } finally {
    await client.close()
  }
}

/** The first of the addresses that may be meant which turns out to be a cluster. */
async function meetFirst(proxy: ProxyAddress, trust: FirstTrust): Promise<Meeting> {
  const found = new AbortController()
  const addresses = candidateAddresses(proxy)
  const attempts = addresses.map(async (address): Promise<Meeting> => {
    // A port behind a silent firewall must not keep us once another has answered.
    if (addresses.length > 1) await probe(address, found.signal)
    return {proxy: address, contact: await contactCluster(address.host, address.port, trust)}
  })
  try {
    return await Promise.any(attempts)
  } catch (error) {
    const causes = error instanceof AggregateError ? (error.errors as unknown[]) : [error]
    // Something that answered and was not trusted says more than a port where nothing is.
    throw causes.find(isTelling) ?? (causes.length === 1 ? causes[0] : unreachable(proxy, causes))
  } finally {
    found.abort()
  }
}

function isTelling(error: unknown): boolean {
  return !(error instanceof PosternError) || error.code !== 'UNREACHABLE'
}

export interface LoginRequest {
  readonly user: string
  readonly password: Secret
  /** Seconds; the cluster may give less. */
  readonly ttlSeconds?: number | undefined
}

export interface LoggedIn {
  readonly profile: Profile
  readonly material: ProfileMaterial
}

/** Logs in with a key made here. Nothing is stored. @throws PosternError ACCESS_DENIED and others */
export async function logIn({proxy, contact}: Meeting, {user, password, ttlSeconds}: LoginRequest): Promise<LoggedIn> {
  const {publicKey, privateKey} = await generateKeys()
  const client = new ApiClient(contact.endpoint)
  try {
    const {certificate, hostAuthorities, cluster, roles, traits, expires, ...answer} = await client.login({
      user,
      password: password.reveal(),
      publicKey,
      ...(ttlSeconds === undefined ? {} : {ttlSeconds}),
    })
    return {
      profile: {proxy, user: answer.user, cluster, roles, traits, expires},
      material: {credentials: {certificate, privateKey}, hostAuthorities},
    }
  } finally {
    await client.close()
  }
}

/** What somebody gives up who trusts whoever answers. */
export function insecureWarning(host: string): string {
  return `WARNING: --insecure: whoever answers as ${host} can read the password that you send, and act as you. A pin (--ca-pin) costs no more.`
}

/** `480` minutes, or a duration like `8h`, in seconds. @throws PosternError USAGE */
export function parseTtl(text: string): number {
  if (/^\d+$/.test(text)) return Number(text) * 60
  try {
    return parseDuration(text) / 1000
  } catch (error) {
    throw new PosternError('USAGE', `"${text}" is not a length of time.`, {
      cause: error,
      hint: 'Write minutes, as 480, or a duration, as 8h.',
    })
  }
}
