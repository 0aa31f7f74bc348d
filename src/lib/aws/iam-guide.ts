/**
 * The policies as the guides of the database types write them: with names for their statements, and with what the guides
 * leave to the reader as the guides have it. Asks nobody; pure.
 */
import {PosternError} from '../core/errors.js'
import {isAwsRegion} from '../resources/endpoint.js'
import {partitionOf} from './aws-database.js'
import {nameIdentity, parseIdentity} from './iam-identity.js'
import {iamDatabaseTypes, oneOrMore, type IamDatabaseType, type PolicyDocument, type Statement} from './iam-policy.js'

/** A document, and what in it still has to be replaced by the reader's own. */
export interface GuidePolicy {
  readonly document: PolicyDocument
  readonly notes: readonly string[]
}

export interface GuideNeeds {
  readonly types: readonly IamDatabaseType[]
  /** Names and ARNs of the roles that the agent assumes. */
  readonly assumesRoles: readonly string[]
}

const connectPlaceholder = 'arn:aws:rds-db:<region>:<account-id>:dbuser:<resource-id>/*'
const rolePlaceholder = 'arn:aws:iam::aws-account-id:role/redshift-user-role'
const anyAccount = {partition: 'aws', account: '*'}

/** The agent's own policy. @throws PosternError USAGE */
export function guidePolicyFor({types, assumesRoles}: GuideNeeds): GuidePolicy {
  const named = [...new Set(assumesRoles.map((text) => nameIdentity('role', text, anyAccount).arn))]
  const usesRoles = types.some((type) => type === 'redshift' || type === 'redshift-serverless')
  const roles = named.length === 0 && usesRoles ? [rolePlaceholder] : named
  const statements = iamDatabaseTypes
    .filter((type) => types.includes(type))
    .flatMap((type) => statementsOf(type, usesRoles ? roles : []))
  if (!usesRoles && roles.length > 0) {
    statements.push({Effect: 'Allow', Action: 'sts:AssumeRole', Resource: oneOrMore(roles)})
  }
  const notes = [
    ...(types.includes('rds')
      ? [`Put the region, account and resource id of the database into ${connectPlaceholder}.`]
      : []),
    ...(roles.includes(rolePlaceholder)
      ? [`Name the roles of database users in the place of ${rolePlaceholder}: --assumes-roles.`]
      : []),
  ]
  return {document: policyOf(statements), notes}
}

function statementsOf(type: IamDatabaseType, roles: readonly string[]): Statement[] {
  switch (type) {
    case 'rds':
      return [{Effect: 'Allow', Action: 'rds-db:connect', Resource: connectPlaceholder}]
    case 'rdsproxy':
      return [
        allow('RDSProxyConnect', 'rds-db:connect'),
        allow('RDSProxyFetchMetadata', ['rds:DescribeDBProxies', 'rds:DescribeDBProxyEndpoints']),
      ]
    case 'redshift':
      return [
        allow('RedshiftConnectAsDBUser', 'redshift:GetClusterCredentials'),
        allow('RedshiftConnectAsIAMRole', 'sts:AssumeRole', roles),
        allow('RedshiftFetchMetadata', 'redshift:DescribeClusters'),
      ]
    case 'redshift-serverless':
      return [
        allow('RedshiftServerlessConnectAsIAMRole', 'sts:AssumeRole', roles),
        allow('RedshiftServerlessFetchMetadata', [
          'redshift-serverless:GetEndpointAccess',
          'redshift-serverless:GetWorkgroup',
        ]),
      ]
  }
}

/**
 * The policy of the role that stands for a database user, where the agent assumes one.
 * @throws PosternError USAGE for types whose users are no roles
 */
export function userRolePolicyFor(types: readonly IamDatabaseType[]): GuidePolicy {
  const statements = iamDatabaseTypes.filter((type) => types.includes(type)).map(userRoleStatement)
  if (statements.length > 0) return {document: policyOf(statements), notes: []}
  throw new PosternError('USAGE', '--for-user-role needs --types.', {hint: 'Write --types redshift.'})
}

function userRoleStatement(type: IamDatabaseType): Statement {
  if (type === 'redshift') return allow('RedshiftConnectWithIAM', 'redshift:GetClusterCredentialsWithIAM')
  if (type === 'redshift-serverless') {
    return allow('RedshiftServerlessConnectWithIAM', 'redshift-serverless:GetCredentials')
  }
  throw new PosternError('USAGE', `Database users of the type ${type} are no IAM roles.`, {
    hint: 'The types whose users can be roles are redshift and redshift-serverless.',
  })
}

export interface ProxySecrets {
  /** ARNs of the secrets that the RDS Proxy reads, one for each database user. */
  readonly secrets: readonly string[]
  /** ARN of the KMS key that they are encrypted with. */
  readonly key?: string | undefined
}

/** The example of the guide, which reads two secrets in one region and has another region in its condition. */
const exampleSecrets = {
  arns: ['rdsproxy_alice', 'rdsproxy_anotheruser'].map(
    (name) => `arn:aws:secretsmanager:us-west-1:account_id:secret:${name}`,
  ),
  key: 'arn:aws:kms:us-west-1:account_id:key/key_id',
  conditionRegion: 'us-east-2',
} as const

/** What the role of an RDS Proxy may do: read its secrets. @throws PosternError USAGE */
export function proxyRolePolicyFor({secrets, key}: ProxySecrets): GuidePolicy {
  if (secrets.length === 0) {
    if (key !== undefined) throw new PosternError('USAGE', '--kms-key needs --secrets.')
    const {arns, conditionRegion} = exampleSecrets
    const note = `This is the guide's example: its secrets are in us-west-1, its condition names ${conditionRegion}. Both must be the region of the secrets: --secrets ARN,… --kms-key ARN writes them so.`
    return {document: secretsPolicy(arns, exampleSecrets.key, conditionRegion), notes: [note]}
  }
  const regions = new Set(secrets.map(regionOfSecret))
  const [region = ''] = regions
  if (regions.size > 1)
    throw new PosternError('USAGE', 'The secrets of an RDS Proxy are in its own region, all of them.')
  if (key !== undefined && !/^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[\w-]+$/.test(key)) {
    throw new PosternError('USAGE', `"${key}" is not the ARN of a KMS key.`)
  }
  return {document: secretsPolicy(secrets, key, region), notes: []}
}

function regionOfSecret(arn: string): string {
  const [, region = ''] = /^arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):\d{12}:secret:[\w/+=.@*?-]+$/.exec(arn) ?? []
  if (isAwsRegion(region)) return region
  throw new PosternError('USAGE', `"${arn}" is not the ARN of a secret.`, {
    hint: 'Write it as arn:aws:secretsmanager:<region>:<12 digits>:secret:<name>.',
  })
}

function secretsPolicy(arns: readonly string[], key: string | undefined, region: string): PolicyDocument {
  const suffix = partitionOf(region) === 'aws-cn' ? 'amazonaws.com.cn' : 'amazonaws.com'
  const Condition = {StringEquals: {'kms:ViaService': `secretsmanager.${region}.${suffix}`}}
  return policyOf([
    {Effect: 'Allow', Action: 'secretsmanager:GetSecretValue', Resource: oneOrMore(arns)},
    ...(key === undefined ? [] : [{Effect: 'Allow', Action: 'kms:Decrypt', Resource: key, Condition} as const]),
  ])
}

export interface TrustChoice {
  /** ARN of the role that is to be trusted. */
  readonly role: string
  /** Trust the role alone, or its whole account, whose own policies then decide. */
  readonly principal: 'role' | 'account'
  readonly externalId?: string | undefined
}

/** The trust policy of a role that the given one assumes. @throws PosternError USAGE */
export function trustPolicyFor({role, principal, externalId}: TrustChoice): PolicyDocument {
  const {kind, partition, account, arn} = parseIdentity(role)
  if (kind !== 'role' && kind !== 'user') {
    throw new PosternError('USAGE', `"${role}" is not the ARN of a role.`, {
      hint: 'A session belongs to a role: write arn:aws:iam::<12 digits>:role/<name>.',
    })
  }
  if (account === '*') throw new PosternError('USAGE', 'A trust policy names the account of the role: give its ARN.')
  const trusted = principal === 'role' ? arn : `arn:${partition}:iam::${account}:root`
  const Condition = externalId === undefined ? {} : {Condition: {StringEquals: {'sts:ExternalId': externalId}}}
  return policyOf([{Effect: 'Allow', Principal: {AWS: trusted}, Action: 'sts:AssumeRole', ...Condition}])
}

/** The trust policy of the role of an RDS Proxy. */
export const proxyTrustPolicy: PolicyDocument = policyOf([
  {Sid: '', Effect: 'Allow', Principal: {Service: 'rds.amazonaws.com'}, Action: 'sts:AssumeRole'},
])

function allow(Sid: string, actions: string | readonly string[], resources: readonly string[] = ['*']): Statement {
  return {Sid, Effect: 'Allow', Action: actions, Resource: oneOrMore(resources)}
}

function policyOf(Statement: readonly Statement[]): PolicyDocument {
  return {Version: '2012-10-17', Statement}
}
