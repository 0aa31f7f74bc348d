import {randomUUID, X509Certificate} from 'node:crypto'
import type {Credentials} from '../../../src/lib/pki/credentials.js'
import type {HostIdentity, UserIdentity} from '../../../src/lib/pki/identity.js'
import {createAuthority, issueCertificate, type Authority, type LeafRequest} from '../../../src/lib/pki/issuing.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'

export const cluster = 'example.com'
export const minute = 60_000
export const hour = 60 * minute

export function newAuthority(type = 'host', now = Date.now()): Promise<Authority> {
  return createAuthority({cluster, type, now})
}

export const hostIdentity = (): HostIdentity => ({kind: 'host', hostId: randomUUID(), systemRoles: ['Db']})

export const userIdentity = (changes: Partial<UserIdentity> = {}): UserIdentity => ({
  kind: 'user',
  usage: 'login',
  user: 'alice',
  roles: ['access', 'db'],
  traits: {db_users: ['alice'], db_names: ['*']},
  loginExpires: '2030-01-01T00:00:00Z',
  ...changes,
})

/** A leaf of the authority: a client's, valid now, unless the changes say otherwise. */
export async function issue(authority: Authority, changes: Partial<LeafRequest> = {}): Promise<Credentials> {
  const keys = await generateKeys()
  const certificate = await issueCertificate({
    authority,
    publicKey: keys.publicKey,
    commonName: 'alice',
    purposes: ['client'],
    identity: userIdentity(),
    notBefore: Date.now() - minute,
    notAfter: Date.now() + hour,
    ...changes,
  })
  return {certificate, privateKey: keys.privateKey}
}

export const parsed = ({certificate}: {certificate: string}): X509Certificate => new X509Certificate(certificate)
