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

/**
 * To find databases, to read about the registered ones, to sign in; in this order, repetition allowed. The two of RDS that
 * modify are in the policy of the guides, and nothing here uses them.
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

export interface PolicyNeeds {
  readonly types: readonly IamDatabaseType[]
  /** ARNs of the roles that the agent has to assume. */
  readonly assumedRoles: readonly string[]
}

/** One statement for each type with what no earlier one has, then one for the roles; undefined when nothing is needed. */
export function policyFor({types, assumedRoles}: PolicyNeeds): PolicyDocument | undefined {
  const seen = new Set<string>()
  const statements: Statement[] = []
  for (const type of iamDatabaseTypes.filter((known) => types.includes(known))) {
    const actions = actionsOf[type].filter((action) => !seen.has(action))
    for (const action of actions) seen.add(action)
    if (actions.length > 0) statements.push({Effect: 'Allow', Action: oneOrMore(actions), Resource: '*'})
  }
  const roles = [...new Set(assumedRoles)]
  if (roles.length > 0) statements.push({Effect: 'Allow', Action: 'sts:AssumeRole', Resource: oneOrMore(roles)})
  return statements.length > 0 ? {Version: '2012-10-17', Statement: statements} : undefined
}

/** A list of one is written as its item, as AWS itself shows it. */
export const oneOrMore = (items: readonly string[]): string | readonly string[] =>
  items.length === 1 && items[0] !== undefined ? items[0] : items

const indentation = 4

/** The document as people read it. */
export const formatPolicy = (document: PolicyDocument): string => JSON.stringify(document, undefined, indentation)
