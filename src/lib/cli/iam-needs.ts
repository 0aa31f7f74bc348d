import type {AccessNeed} from '../aws/iam-plan.js'
import {toAwsDatabase, type AwsDatabase} from '../aws/aws-database.js'
import type {NamedGrant} from '../aws/iam-grants.js'
import type {AssumedRole, AwsMatcher, Config, StaticDatabase} from '../config/settings.js'

/** What the Database Service of a configuration needs in AWS. */
export function needsOf({dbService}: Config): AccessNeed[] {
  return [
    ...dbService.aws.map((matcher) => ({types: matcher.types, ...roleOf(matcher), finds: true})),
    ...dbService.databases.flatMap((database) => needOf(database) ?? []),
    ...selectorNeeds(dbService),
  ]
}

/** Which types the databases will be is not known yet. */
const selectorNeeds = ({resources}: Config['dbService']): AccessNeed[] =>
  resources.flatMap((selector) => (selector.assumeRoleArn ? [{types: [], ...roleOf(selector)}] : []))

const roleOf = ({assumeRoleArn, externalId}: AssumedRole): AssumedRole => ({assumeRoleArn, externalId})

function needOf({type, resource: {spec}}: StaticDatabase): AccessNeed | undefined {
  if (type === 'self-hosted') return undefined
  return {types: [type], assumeRoleArn: spec.aws?.assume_role_arn, externalId: spec.aws?.external_id}
}

/** How the ARNs of databases are found out. */
export interface GrantSource {
  readonly grant: (database: AwsDatabase) => Promise<NamedGrant>
  /** Of those that a matcher finds now. */
  readonly grantsOf: (matcher: AwsMatcher) => Promise<readonly NamedGrant[]>
}

/** The same, for each database by its own ARN. */
export async function scopedNeedsOf({dbService}: Config, {grant, grantsOf}: GrantSource): Promise<AccessNeed[]> {
  const needs: AccessNeed[] = []
  for (const matcher of dbService.aws) {
    needs.push({types: matcher.types, ...roleOf(matcher), finds: true, grants: await grantsOf(matcher)})
  }
  const configured = dbService.databases.map(async (database): Promise<AccessNeed[]> => {
    const need = needOf(database)
    const aws = toAwsDatabase(database.resource)
    return need && aws ? [{...need, grants: [await grant(aws)]}] : []
  })
  return [...needs, ...(await Promise.all(configured)).flat(), ...selectorNeeds(dbService)]
}
