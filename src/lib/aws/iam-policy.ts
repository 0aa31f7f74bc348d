/** The permissions that an agent needs for each type of database, as an IAM policy. Asks nobody; pure. */

/** The types of database that the IAM commands know, in the order in which policies list them. */
export const iamDatabaseTypes = ['rds', 'rdsproxy', 'redshift', 'redshift-serverless'] as const
export type IamDatabaseType = (typeof iamDatabaseTypes)[number]

export interface Statement {
  readonly Sid?: string
  readonly Effect: 'Allow'
  /** Of a role's trust: who. */
  readonly Principal?: Readonly<Record<string, string>>
  readonly Action: string | readonly string[]
  /** On what; a role's trust is about the role itself. */
  readonly Resource?: string | readonly string[]
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string>>>>
}

/** Keys are in the order in which they are printed. */
export interface PolicyDocument {
  readonly Version: '2012-10-17'
  readonly Statement: readonly Statement[]
}

/** What one document allows and another does not, as `action on resource`. */
export interface PolicyChanges {
  readonly added: readonly string[]
  readonly removed: readonly string[]
}

/**
 * To find databases, to read about the registered ones, to sign in; in this order, repetition allowed. The two of RDS that
 * modify are in the policy of the guides; only an agent that keeps its own policy uses them.
 */
const actionsOf: Readonly<Record<IamDatabaseType, readonly string[]>> = {
  rds: [
    'rds:DescribeDBInstances',
    'rds:DescribeDBClusters',
    'rds:ModifyDBInstance',
    'rds:ModifyDBCluster',
    'rds-db:connect',
  ],
  rdsproxy: ['rds:DescribeDBProxies', 'rds:DescribeDBProxyEndpoints', 'rds:ListTagsForResource', 'rds-db:connect'],
  redshift: ['redshift:DescribeClusters', 'redshift:GetClusterCredentials'],
  // Its sign-in is by roles that the agent assumes: see `assumedRoles`.
  'redshift-serverless': [
    'redshift-serverless:ListWorkgroups',
    'redshift-serverless:ListEndpointAccess',
    'redshift-serverless:ListTagsForResource',
    'redshift-serverless:GetEndpointAccess',
    'redshift-serverless:GetWorkgroup',
  ],
}

/** One database, and what signing in to it is allowed by. */
export interface DatabaseGrant {
  readonly type: IamDatabaseType
  /** What the action of signing in is on; none where roles do it. */
  readonly signIn: readonly string[]
}

/** What signs in, where it is a permission of the agent's own. */
const signInActions: Readonly<Partial<Record<IamDatabaseType, string>>> = {
  rds: 'rds-db:connect',
  rdsproxy: 'rds-db:connect',
  redshift: 'redshift:GetClusterCredentials',
}

/** Only an agent that keeps its own policy switches IAM authentication on. */
const keepingActions: readonly string[] = ['rds:ModifyDBInstance', 'rds:ModifyDBCluster']

export interface PolicyNeeds {
  readonly types: readonly IamDatabaseType[]
  /** The databases to sign in to; undefined for all of the types. */
  readonly grants?: readonly DatabaseGrant[] | undefined
  /** ARNs of the roles that the agent has to assume. */
  readonly assumedRoles: readonly string[]
  /** The identity whose inline policy the agent keeps by itself; undefined when it keeps none. */
  readonly keeper?: {readonly kind: string; readonly arn: string} | undefined
}

/**
 * One statement for each type with what no earlier one has, then one for the roles; undefined when nothing is needed. Where
 * the databases are named, signing in to them has statements of its own.
 */
export function policyFor({types, grants, assumedRoles, keeper}: PolicyNeeds): PolicyDocument | undefined {
  const seen = new Set<string>(grants && [...Object.values(signInActions), ...(keeper ? [] : keepingActions)])
  const statements: Statement[] = []
  for (const type of iamDatabaseTypes.filter((known) => types.includes(known))) {
    const actions = actionsOf[type].filter((action) => !seen.has(action))
    for (const action of actions) seen.add(action)
    if (actions.length > 0) statements.push({Effect: 'Allow', Action: oneOrMore(actions), Resource: '*'})
  }
  statements.push(...signInStatements(grants ?? []))
  if (keeper) statements.push(keepingStatement(keeper))
  const roles = [...new Set(assumedRoles)]
  if (roles.length > 0) statements.push({Effect: 'Allow', Action: 'sts:AssumeRole', Resource: oneOrMore(roles)})
  return statements.length > 0 ? {Version: '2012-10-17', Statement: statements} : undefined
}

/** One statement per action, with the databases that it is for. */
export function signInStatements(grants: readonly DatabaseGrant[]): Statement[] {
  const resources = new Map<string, Set<string>>()
  for (const {type, signIn} of grants) {
    const action = signInActions[type]
    if (action === undefined || signIn.length === 0) continue
    const known = resources.get(action) ?? new Set()
    for (const resource of signIn) known.add(resource)
    resources.set(action, known)
  }
  return Array.from(resources, ([Action, list]) => ({Effect: 'Allow', Action, Resource: oneOrMore([...list])}))
}

function keepingStatement({kind, arn}: NonNullable<PolicyNeeds['keeper']>): Statement {
  const noun = kind === 'user' ? 'User' : 'Role'
  const Action = ['Get', 'Put', 'Delete'].map((verb) => `iam:${verb}${noun}Policy`)
  return {Effect: 'Allow', Action, Resource: arn}
}

/** A list of one is written as its item, as AWS itself shows it. */
export const oneOrMore = (items: readonly string[]): string | readonly string[] =>
  items.length === 1 && items[0] !== undefined ? items[0] : items

const indentation = 4

/** The document as people read it. */
export const formatPolicy = (document: PolicyDocument): string => JSON.stringify(document, undefined, indentation)
