import {createPrivateKey, createPublicKey, randomBytes, webcrypto, X509Certificate} from 'node:crypto'
import {isIP} from 'node:net'
// The X.509 library's container needs this polyfill loaded first.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import type {Secret} from '../core/secret.js'
import {encodeIdentity, identityOid, type Identity} from './identity.js'
import {generateKeys} from './keys.js'
import {keyPurposes} from './peer.js'

// The type of the library's provider is the DOM's Crypto; Node's is the same thing under another name.
x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0])

const signing = {name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256'} as const
const authorityLifetime = 10 * 365 * 24 * 3_600_000

/** An authority: its certificate and the key that signs. */
export interface Authority {
  readonly certificate: string
  readonly privateKey: Secret
}

export interface AuthorityRequest {
  readonly cluster: string
  /** What it signs, shown in the subject: `host`, `user`, `db`, `db_client`. */
  readonly type: string
  readonly now: number
}

/** A new self-signed authority that may sign leaves and nothing below them. */
export async function createAuthority({cluster, type, now}: AuthorityRequest): Promise<Authority> {
  const keys = await generateKeys()
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: distinguishedName(`${cluster} ${type} CA`, cluster),
    issuer: distinguishedName(`${cluster} ${type} CA`, cluster),
    notBefore: new Date(now - 3_600_000),
    notAfter: new Date(now + authorityLifetime),
    signingAlgorithm: signing,
    publicKey: await importPublicKey(keys.publicKey),
    signingKey: await importPrivateKey(keys.privateKey),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(await importPublicKey(keys.publicKey)),
    ],
  })
  return {certificate: pem(certificate), privateKey: keys.privateKey}
}

export interface LeafRequest {
  readonly authority: Authority
  /** SubjectPublicKeyInfo, PEM; checked with `readPublicKey` before. */
  readonly publicKey: string
  readonly commonName: string
  readonly purposes: readonly (keyof typeof keyPurposes)[]
  /** DNS names and IP addresses. */
  readonly hosts?: readonly string[]
  readonly identity?: Identity
  /** Milliseconds since 1970. */
  readonly notBefore: number
  readonly notAfter: number
}

/** A leaf certificate as PEM. */
export async function issueCertificate(request: LeafRequest): Promise<string> {
  const issuer = new x509.X509Certificate(request.authority.certificate)
  const issuerEnd = new X509Certificate(request.authority.certificate).validTo
  const extensions: x509.Extension[] = [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension(request.purposes.map((purpose) => keyPurposes[purpose])),
    await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
  ]
  if (request.hosts?.length) {
    extensions.push(
      new x509.SubjectAlternativeNameExtension(
        request.hosts.map((host) => ({type: isIP(host) ? ('ip' as const) : ('dns' as const), value: host})),
      ),
    )
  }
  if (request.identity) extensions.push(new x509.Extension(identityOid, false, encodeIdentity(request.identity)))
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: distinguishedName(request.commonName),
    issuer: issuer.subjectName,
    notBefore: new Date(request.notBefore),
    notAfter: new Date(Math.min(request.notAfter, Date.parse(issuerEnd))),
    signingAlgorithm: signing,
    publicKey: await importPublicKey(request.publicKey),
    signingKey: await importPrivateKey(request.authority.privateKey),
    extensions,
  })
  return pem(certificate)
}

function pem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem').trim()}\n`
}

/** Positive, 127 bits, unpredictable (CA/Browser Forum baseline §7.1). */
function newSerial(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}

/**
 * As structured values, so that a user's name can never add an attribute. Not as the library's JSON: it reads that with
 * its own rules for quotes, backslashes and `#`, and `x"root"` would become `root`.
 */
function distinguishedName(commonName: string, organization?: string): x509.Name {
  const parts = [{CN: [{utf8String: commonName}]}, ...(organization ? [{O: [{utf8String: organization}]}] : [])]
  return new x509.Name(parts)
}

async function importPublicKey(key: string): Promise<webcrypto.CryptoKey> {
  const object = createPublicKey(key)
  const algorithm =
    object.asymmetricKeyType === 'rsa'
      ? {name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256'}
      : object.asymmetricKeyType === 'ed25519'
        ? {name: 'Ed25519'}
        : {name: 'ECDSA', namedCurve: object.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'P-384' : 'P-256'}
  return webcrypto.subtle.importKey('spki', object.export({type: 'spki', format: 'der'}), algorithm, true, ['verify'])
}

async function importPrivateKey(key: Secret): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(key.reveal()).export({type: 'pkcs8', format: 'der'})
  return webcrypto.subtle.importKey('pkcs8', der, signing, false, ['sign'])
}
