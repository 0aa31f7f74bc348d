/** State of a fake account's databases. What the services change is mutable. */
import type {CertificateKind} from './definition.js'
import type {Secret} from '../core/secret.js'

/** What all of them have. */
export interface Database {
  readonly account: string
  readonly region: string
  readonly arn: string
  readonly tags: Map<string, string>
  readonly requireTls: boolean
  readonly certificate: CertificateKind
  readonly port: number
}

/** What rds-db:connect is about: an instance on its own, or a cluster with all its instances. */
export interface RdsServer extends Database {
  readonly id: string
  readonly resourceId: string
  iamAuthentication: boolean
}

export interface Instance extends RdsServer {
  readonly host: string
  /** Of an Aurora member; its own sign-in settings then count for nothing. */
  readonly clusterId?: string
}

export interface Cluster extends RdsServer {
  readonly host: string
  readonly readerHost: string
  /** By instance id; the first writes. */
  readonly members: readonly string[]
  readonly customEndpoints: readonly NamedHost[]
}

export interface NamedHost {
  readonly name: string
  readonly host: string
}

export interface Proxy extends Database {
  readonly name: string
  readonly resourceId: string
  readonly host: string
  readonly endpoints: readonly (NamedHost & {readonly arn: string; readonly readOnly: boolean})[]
  /** By database user. */
  readonly secrets: Map<string, ProxySecret>
}

export interface ProxySecret {
  password: Secret
  iam: 'REQUIRED' | 'DISABLED'
}

export interface RedshiftCluster extends Database {
  readonly id: string
  readonly host: string
}

/** A database password that a Redshift API gave out. */
export interface RedshiftCredential {
  /** ARN of the cluster or workgroup. */
  readonly server: string
  /** As it was given out: `IAM:alice`, `IAMR:role`. */
  readonly dbUser: string
  readonly password: Secret
  /** The one database it is good for; undefined for all. */
  readonly database: string | undefined
  /** Creates the user when there is none. */
  readonly autoCreate: boolean
  /** Milliseconds since 1970. */
  readonly expires: number
}

export interface Workgroup extends Database {
  readonly id: string
  readonly name: string
  readonly namespace: string
  readonly host: string
  readonly endpoints: readonly (NamedHost & {readonly arn: string})[]
}

export interface Databases {
  readonly instances: Instance[]
  readonly clusters: Cluster[]
  readonly proxies: Proxy[]
  readonly redshiftClusters: RedshiftCluster[]
  readonly workgroups: Workgroup[]
}
