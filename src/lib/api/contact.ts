import {PosternError} from '../core/errors.js'
import {clusterNameOf} from '../pki/cluster-name.js'
import {checkPinForm, pinnedCertificates} from '../pki/pin.js'
import {readRootsFile, systemRoots} from '../pki/roots.js'
import {authServerName} from '../resources/route.js'
import {ApiClient} from './client.js'
import type {FindResponse} from './responses.js'
import type {Endpoint} from './transport.js'

/** What the first contact may rely on, strongest first: pins, a CA file, the system's roots. */
export interface FirstTrust {
  readonly pins?: readonly string[]
  readonly caFile?: string | undefined
  /** SSL_CERT_FILE */
  readonly rootsFile?: string | undefined
  /** Trust whatever answers. */
  readonly insecure?: boolean
}

/** Two during a rotation; more is no list of ours. */
const maximumAuthorities = 16

export interface Contact {
  readonly find: FindResponse
  /** Where login, join and invites go from here on. */
  readonly endpoint: Endpoint
}

/**
 * Meets a cluster for the first time at its proxy's public address.
 * @throws PosternError UNTRUSTED, UNREACHABLE, INVALID
 */
export async function contactCluster(host: string, port: number, trust: FirstTrust): Promise<Contact> {
  if (trust.pins?.length) return contactByPin(host, port, trust.pins)
  const authorities = trust.insecure
    ? ('unverified' as const)
    : trust.caFile
      ? [await readRootsFile(trust.caFile)]
      : await systemRoots(trust.rootsFile)
  const endpoint: Endpoint = {host, port, authorities}
  return {find: await ask(endpoint, (client) => client.find()), endpoint}
}

/**
 * Only the authorities are fetched unverified, and only what the pin names is kept of them. The cluster's name comes from
 * the pinned authority too: whoever could choose it could pass off another certificate of that authority as the API's.
 */
async function contactByPin(host: string, port: number, pins: readonly string[]): Promise<Contact> {
  for (const pin of pins) checkPinForm(pin)
  const answer: unknown = await ask({host, port, authorities: 'unverified'}, (client) => client.hostAuthorities())
  const [pinned = '', ...others] = pinnedCertificates(readAuthorities(answer), pins)
  const serverName = authServerName(clusterNameOf(pinned))
  const endpoint: Endpoint = {host, port, serverName, authorities: [pinned, ...others]}
  return {find: await ask(endpoint, (client) => client.find()), endpoint}
}

function readAuthorities(answer: unknown): string[] {
  const list: unknown =
    typeof answer === 'object' && answer !== null && 'authorities' in answer ? answer.authorities : undefined
  if (Array.isArray(list) && list.length <= maximumAuthorities && list.every((pem) => typeof pem === 'string')) {
    return list
  }
  throw new PosternError('UNTRUSTED', 'The cluster sent no list of host CA certificates.')
}

async function ask<T>(endpoint: Endpoint, question: (client: ApiClient) => Promise<T>): Promise<T> {
  const client = new ApiClient(endpoint)
  try {
    return await question(client)
  } finally {
    await client.close()
  }
}
