import type {AccessNeed} from '../aws/iam-plan.js'
import {toAwsDatabase, type AwsDatabase} from '../aws/aws-database.js'
import type {NamedGrant} from '../aws/iam-grants.js'
import type {AssumedRole, Config, StaticDatabase} from '../config/settings.js'

/** What the Database Service of a configuration needs in AWS. */
export function needsOf({dbService: {aws, databases, resources}}: Config): AccessNeed[] {
  return [
    ...aws.map((matcher) => ({types: matcher.types, ...roleOf(matcher), finds: true})),
    ...databases.flatMap((database) => needOf(database) ?? []),
    // Which types they will be is not known yet.
    ...resources.flatMap((selector) => (selector.assumeRoleArn ? [{types: [], ...roleOf(selector)}] : [])),
  ]
}

const roleOf = ({assumeRoleArn, externalId}: AssumedRole): AssumedRole => ({assumeRoleArn, externalId})

function needOf({type, resource: {spec}}: StaticDatabase): AccessNeed | undefined {
  if (type === 'self-hosted') return undefined
  return {types: [type], assumeRoleArn: spec.aws?.assume_role_arn, externalId: spec.aws?.external_id}
}

/** The same, for each database by its own ARN. */
export async function scopedNeedsOf(
  config: Config,
  grant: (database: AwsDatabase) => Promise<NamedGrant>,
): Promise<AccessNeed[]> {
  const needs = config.dbService.databases.map(async (database): Promise<AccessNeed[]> => {
    const need = needOf(database)
    const aws = toAwsDatabase(database.resource)
    return need && aws ? [{...need, grants: [await grant(aws)]}] : []
  })
  const others = needsOf({...config, dbService: {...config.dbService, databases: []}})
  return [...others, ...(await Promise.all(needs)).flat()]
}
