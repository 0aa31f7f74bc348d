import {randomUUID} from 'node:crypto'
import {mkdir} from 'node:fs/promises'
import {dirname} from 'node:path'
import {writeIdentityFile} from '../config/identity-file.js'
import {generateKeys} from '../pki/keys.js'
import type {Authorities} from './authorities.js'
import {adminName} from './caller.js'
import type {CertificateIssuer} from './certificate-issuer.js'
import {Records} from './records.js'
import type {Stores} from './stores.js'

export interface AdminIdentityOptions {
  readonly file: string
  readonly stores: Stores
  readonly authorities: Authorities
  readonly issuer: CertificateIssuer
  /** Milliseconds since 1970. */
  readonly now: number
}

/** Writes the identity with which whoever owns the data directory administers the cluster; a new certificate each time. */
export async function writeAdminIdentity({
  file,
  stores,
  authorities,
  issuer,
  now,
}: AdminIdentityOptions): Promise<void> {
  const hostId = await adminHostId(stores, now)
  const keys = await generateKeys()
  const {certificate} = await issuer.host({kind: 'host', hostId, systemRoles: ['Admin']}, keys.publicKey)
  await mkdir(dirname(file), {recursive: true, mode: 0o700})
  await writeIdentityFile(
    file,
    {
      cluster: issuer.cluster,
      user: adminName,
      credentials: {certificate, privateKey: keys.privateKey},
      hostAuthorities: authorities.trusted('host'),
    },
    {overwrite: true},
  )
}

async function adminHostId(stores: Stores, now: number): Promise<string> {
  const known = new Records<string>(stores.backend, 'cluster/')
  const existing = (await known.get('admin_host_id'))?.value
  if (existing !== undefined) return existing
  const hostId = randomUUID()
  await stores.hosts.create(hostId, {
    hostId,
    systemRoles: ['Admin'],
    hostname: 'control plane',
    joined: new Date(now).toISOString(),
    serving: [],
  })
  await known.create('admin_host_id', hostId)
  return hostId
}
