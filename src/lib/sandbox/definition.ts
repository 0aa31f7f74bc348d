/** A fake account set as its author writes it down: `createWorld` turns it into state. What is left out gets a plausible value. */

/** A policy document, as JSON text or as the object it stands for. */
export type PolicySource = string | object

export interface WorldDefinition {
  readonly accounts: readonly AccountDefinition[]
  /** Whose credentials the agent gets. Default: none. */
  readonly agent?: AgentDefinition
}

/** How the agent comes by its credentials. */
export type AgentDefinition =
  | {readonly kind: 'access-key'; readonly account: string; readonly user: string; readonly region: string}
  | {
      readonly kind: 'web-identity'
      readonly account: string
      readonly role: string
      readonly region: string
      readonly subject: string
    }
  | InstanceProfileDefinition

/** An EC2 instance with a role. */
export interface InstanceProfileDefinition {
  readonly kind: 'instance-profile'
  readonly account: string
  readonly role: string
  readonly region: string
  /** Default `i-0123456789abcdef0`; the name of the role's sessions. */
  readonly instanceId?: string
  /** Network hops that an answer to PUT survives; with 1, no agent inside a container gets a token. Default 2. */
  readonly hopLimit?: number
  /** Milliseconds that a session's credentials are good for. Default 6 hours. */
  readonly credentialLifetime?: number
}

export interface AccountDefinition {
  /** Twelve digits. */
  readonly id: string
  /** The part of RDS and Redshift endpoints that is one per account and region. Default: made from both. */
  readonly endpointId?: string
  readonly users?: readonly UserDefinition[]
  readonly roles?: readonly RoleDefinition[]
  readonly policies?: readonly ManagedPolicyDefinition[]
  readonly instances?: readonly InstanceDefinition[]
  readonly clusters?: readonly ClusterDefinition[]
  readonly proxies?: readonly ProxyDefinition[]
  readonly redshiftClusters?: readonly RedshiftClusterDefinition[]
  readonly workgroups?: readonly WorkgroupDefinition[]
}

interface IdentityDefinition {
  readonly name: string
  /** Default `/`. */
  readonly path?: string
  readonly tags?: Readonly<Record<string, string>>
  /** Inline policies by name. */
  readonly inline?: Readonly<Record<string, PolicySource>>
  /** Names of managed policies of the account. */
  readonly attached?: readonly string[]
  /** Name of the managed policy that bounds the permissions. */
  readonly boundary?: string
}

export interface UserDefinition extends IdentityDefinition {
  /** Default: one random key. */
  readonly accessKeys?: readonly {readonly id: string; readonly secret: string}[]
}

export interface RoleDefinition extends IdentityDefinition {
  readonly trust: PolicySource
  /** Default 3600. */
  readonly maxSessionSeconds?: number
}

export interface ManagedPolicyDefinition {
  readonly name: string
  readonly path?: string
  readonly description?: string
  readonly tags?: Readonly<Record<string, string>>
  readonly document: PolicySource
}

/**
 * What the endpoint's certificate is like. `legacy` has no subject alternative names, as before July 2020; `expired` was not
 * rotated; `other-name` is that of another database; `untrusted` is from an authority that no client of AWS trusts.
 */
export type CertificateKind = 'current' | 'legacy' | 'expired' | 'other-name' | 'untrusted'

interface DatabaseDefinition {
  readonly region: string
  readonly tags?: Readonly<Record<string, string>>
  /** Default true. */
  readonly requireTls?: boolean
  /** Default `current`. */
  readonly certificate?: CertificateKind
}

/** An RDS instance that is no member of a cluster. */
export interface InstanceDefinition extends DatabaseDefinition {
  readonly id: string
  /** Default `db-…`, made from the name. */
  readonly resourceId?: string
  /** Default 5432. */
  readonly port?: number
  /** Default true. */
  readonly iamAuthentication?: boolean
}

/** An Aurora cluster. */
export interface ClusterDefinition extends InstanceDefinition {
  /** Ids of the instances; the first writes. Default: `<id>-instance-1`. */
  readonly members?: readonly string[]
  /** Names of custom endpoints. */
  readonly customEndpoints?: readonly string[]
}

export interface ProxyDefinition extends DatabaseDefinition {
  readonly name: string
  /** Default `prx-…`. */
  readonly resourceId?: string
  readonly secrets: readonly SecretDefinition[]
  /** Names of further endpoints. */
  readonly endpoints?: readonly {readonly name: string; readonly readOnly?: boolean}[]
}

/** A secret of Secrets Manager that the proxy may read. */
export interface SecretDefinition {
  readonly user: string
  /** What it holds; the proxy signs in to the database with it. */
  readonly password: string
  /** Default `REQUIRED`. */
  readonly iam?: 'REQUIRED' | 'DISABLED'
}

export interface RedshiftClusterDefinition extends DatabaseDefinition {
  readonly id: string
  /** Default 5439. */
  readonly port?: number
}

export interface WorkgroupDefinition extends DatabaseDefinition {
  readonly name: string
  /** Default: a UUID. */
  readonly id?: string
  /** Default: the workgroup's name. */
  readonly namespace?: string
  /** Default 5439. */
  readonly port?: number
  /** Names of managed VPC endpoints. */
  readonly endpoints?: readonly string[]
}
