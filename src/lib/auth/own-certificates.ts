/** What the Auth Service shows to whoever connects, from the cluster's own host authority. */
import type {Credentials} from '../pki/credentials.js'
import {generateKeys} from '../pki/keys.js'
import {authServerName} from '../resources/route.js'
import type {CertificateIssuer} from './certificate-issuer.js'
import type {AuthOptions} from './options.js'

export interface OwnCertificates {
  /** For `auth.<cluster>`. */
  readonly api: Credentials
  /** For whoever comes by another name. */
  readonly web: Credentials
}

type Places = Pick<AuthOptions, 'cluster' | 'listen' | 'publicAddresses'>

export async function issueOwnCertificates(issuer: CertificateIssuer, places: Places): Promise<OwnCertificates> {
  return {
    api: await serverCredentials(issuer, [authServerName(places.cluster)]),
    web: await serverCredentials(issuer, webNames(places)),
  }
}

/** Names by which people, proxies and tests on this machine may reach the web endpoint. */
function webNames({cluster, listen, publicAddresses}: Places): string[] {
  const anywhere = ['0.0.0.0', '::']
  const hosts = [cluster, ...publicAddresses.map(({host}) => host), listen.host, 'localhost', '127.0.0.1', '::1']
  return [...new Set(hosts)].filter((host) => !anywhere.includes(host))
}

async function serverCredentials(issuer: CertificateIssuer, names: readonly string[]): Promise<Credentials> {
  const keys = await generateKeys()
  const {certificate} = await issuer.server(names, keys.publicKey)
  return {certificate, privateKey: keys.privateKey}
}
