import type {LoginResponse} from '../api/responses.js'
import {readIdentityFile, writeIdentityFile, type FileIdentity} from '../config/identity-file.js'
import {createPrivateFile, requireAbsent, writePrivateFile} from '../config/private-file.js'
import {generateKeys} from '../pki/keys.js'
import type {Connection} from './user-login.js'

interface SignOptions {
  /** A file, or what the names of several begin with. */
  readonly out: string
  readonly overwrite: boolean
  /** The cluster decides when undefined. */
  readonly ttlSeconds: number | undefined
}

export interface SignedDatabase {
  readonly key: string
  readonly certificate: string
  /** What the database verifies agents with. */
  readonly authorities: string
}

/** A server certificate for a self-hosted database. @throws PosternError ALREADY_EXISTS before anything is made */
export async function signForDatabase(
  connection: Connection,
  {out, overwrite, ttlSeconds, hosts}: SignOptions & {readonly hosts: string[]},
): Promise<SignedDatabase> {
  const files: SignedDatabase = {key: `${out}.key`, certificate: `${out}.crt`, authorities: `${out}.cas`}
  if (!overwrite) for (const file of Object.values(files) as string[]) await requireAbsent(file)
  const {publicKey, privateKey} = await generateKeys()
  const signed = await connection.ask((client) => client.databaseServerCertificate({publicKey, hosts, ttlSeconds}))
  const write = overwrite ? writePrivateFile : createPrivateFile
  await write(files.key, privateKey.reveal())
  await write(files.certificate, signed.certificate)
  await write(files.authorities, signed.clientAuthorities.map((pem) => `${pem.trim()}\n`).join(''))
  return files
}

interface UserSignOptions extends SignOptions {
  readonly user: string
  /** `host:port`; the public address of the cluster's proxy when undefined. */
  readonly proxy: string | undefined
  /** For how long whoever holds the file may renew it; not at all when undefined. */
  readonly renewableSeconds: number | undefined
}

/** When an identity ends for now, and when for good, as `auth renew --format json` shows it. */
export interface IdentityLife {
  /** RFC 3339 */
  readonly expires: string
  /** RFC 3339; absent when it cannot be renewed. */
  readonly renewable_until?: string
}

/** An identity file for a user. @throws PosternError ALREADY_EXISTS before anything is made */
export async function signForUser(
  connection: Connection,
  {out, overwrite, ttlSeconds, renewableSeconds, user, proxy}: UserSignOptions,
): Promise<IdentityLife> {
  if (!overwrite) await requireAbsent(out)
  const {publicKey, privateKey} = await generateKeys()
  const {signed, find} = await connection.ask(async (client) => ({
    signed: await client.userCertificate({publicKey, user, ttlSeconds, renewableSeconds}),
    find: await client.find(),
  }))
  const identity = {
    // So that --identity alone finds the cluster.
    proxy: proxy ?? find.proxy.ssh.public_addr,
    cluster: signed.cluster,
    user: signed.user,
    credentials: {certificate: signed.certificate, privateKey},
    hostAuthorities: signed.hostAuthorities,
  }
  await writeIdentityFile(out, identity, {overwrite})
  return lifeOf(signed)
}

/**
 * An identity file replaced by one with a new key and a new end. Readers see the old or the new one.
 * @throws PosternError ACCESS_DENIED when it is not renewable, EXPIRED
 */
export async function renewIdentityFile(
  file: string,
  open: (identity: FileIdentity) => Connection,
): Promise<IdentityLife & {readonly user: string}> {
  const identity = await readIdentityFile(file)
  const {publicKey, privateKey} = await generateKeys()
  const signed = await open(identity).ask((client) => client.renewUserCertificate({publicKey}))
  const {certificate, hostAuthorities} = signed
  await writeIdentityFile(
    file,
    {...identity, credentials: {certificate, privateKey}, hostAuthorities},
    {overwrite: true},
  )
  return {user: identity.user, ...lifeOf(signed)}
}

function lifeOf({expires, renewableUntil}: LoginResponse): IdentityLife {
  return {expires, ...(renewableUntil !== undefined && {renewable_until: renewableUntil})}
}

/** `The identity of ci is in FILE; it is valid until …` */
export function renderIdentity(
  user: string,
  file: string,
  {expires, renewable_until: renewableUntil}: IdentityLife,
): string {
  const renewable = renewableUntil === undefined ? '' : `, and can be renewed until ${renewableUntil}`
  return `The identity of ${user} is in ${file}; it is valid until ${expires}${renewable}.`
}

/** What to do with the files, in PostgreSQL's own words. */
export function renderSignedDatabase({key, certificate, authorities}: SignedDatabase): string {
  return `Database credentials have been written to ${key}, ${certificate}, ${authorities}.

Give them to the user that PostgreSQL runs as, and put into postgresql.conf:

ssl = on
ssl_cert_file = '/path/to/${base(certificate)}'
ssl_key_file = '/path/to/${base(key)}'
ssl_ca_file = '/path/to/${base(authorities)}'

and into pg_hba.conf, before other lines that match:

hostssl all all 0.0.0.0/0 cert
hostssl all all ::/0 cert

Then reload PostgreSQL.`
}

function base(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
