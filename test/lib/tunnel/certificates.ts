import {randomUUID} from 'node:crypto'
import {agentServerName, tunnelServerName} from '../../../src/lib/resources/route.js'
import type {Credentials} from '../../../src/lib/pki/credentials.js'
import type {Identity, SystemRole} from '../../../src/lib/pki/identity.js'
import {createAuthority, issueCertificate, type Authority} from '../../../src/lib/pki/issuing.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'

export const cluster = 'example.com'
const hour = 3_600_000

export function newAuthority(type = 'host'): Promise<Authority> {
  return createAuthority({cluster, type, now: Date.now()})
}

export interface CertificateOptions {
  readonly hosts?: readonly string[]
  readonly identity?: Identity
  readonly purposes?: readonly ('client' | 'server')[]
  readonly notAfter?: number
}

export async function issue(
  authority: Authority,
  commonName: string,
  options: CertificateOptions,
): Promise<Credentials> {
  const keys = await generateKeys()
  const certificate = await issueCertificate({
    authority,
    publicKey: keys.publicKey,
    commonName,
    purposes: options.purposes ?? ['client', 'server'],
    notBefore: Date.now() - 2 * hour,
    notAfter: options.notAfter ?? Date.now() + hour,
    ...(options.hosts ? {hosts: options.hosts} : {}),
    ...(options.identity ? {identity: options.identity} : {}),
  })
  return {certificate, privateKey: keys.privateKey}
}

export function issueProxy(authority: Authority): Promise<Credentials> {
  const identity = {kind: 'host' as const, hostId: randomUUID(), systemRoles: ['Proxy' as const]}
  return issue(authority, 'proxy', {hosts: [tunnelServerName(cluster)], identity})
}

export function issueAgent(
  authority: Authority,
  hostId: string,
  systemRoles: SystemRole[] = ['Db'],
  options: CertificateOptions = {},
): Promise<Credentials> {
  const identity = {kind: 'host' as const, hostId, systemRoles}
  return issue(authority, hostId, {hosts: [agentServerName(hostId, cluster)], identity, ...options})
}

export function issueUser(authority: Authority): Promise<Credentials> {
  const loginExpires = new Date(Date.now() + hour).toISOString()
  const identity = {kind: 'user', usage: 'login', user: 'alice', roles: [], traits: {}, loginExpires} as const
  return issue(authority, 'alice', {purposes: ['client'], identity: {...identity, roles: []}})
}
