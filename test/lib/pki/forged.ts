import {createPrivateKey, webcrypto, X509Certificate} from 'node:crypto'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import {identityOid} from '../../../src/lib/pki/identity.js'
import type {Authority} from '../../../src/lib/pki/issuing.js'
import {keyPurposes} from '../../../src/lib/pki/peer.js'
import {hour} from './issued.js'

x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0])

const signing = {name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256'} as const

/**
 * What our own issuing would refuse: a client's certificate with these values as identity extensions, none or many, and
 * perhaps one that may itself sign.
 */
export async function certificateWith(
  authority: Authority,
  identities: readonly Buffer[],
  {ca = false} = {},
): Promise<X509Certificate> {
  const issuer = new x509.X509Certificate(authority.certificate)
  const key = createPrivateKey(authority.privateKey.reveal()).export({type: 'pkcs8', format: 'der'})
  const keys = await webcrypto.subtle.generateKey(signing, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.create({
    subject: 'CN=alice',
    issuer: issuer.subject,
    notBefore: new Date(Date.now() - hour),
    notAfter: new Date(Date.now() + hour),
    signingAlgorithm: signing,
    signingKey: await webcrypto.subtle.importKey('pkcs8', key, signing, false, ['sign']),
    publicKey: keys.publicKey,
    extensions: [
      new x509.BasicConstraintsExtension(ca, undefined, true),
      new x509.ExtendedKeyUsageExtension([keyPurposes.client]),
      ...identities.map((value) => new x509.Extension(identityOid, false, value)),
    ],
  })
  return new X509Certificate(certificate.toString('pem'))
}

/** The attributes of a certificate's subject, one object for each relative name. */
export const subjectOf = (certificate: string): object[] => new x509.X509Certificate(certificate).subjectName.toJSON()
