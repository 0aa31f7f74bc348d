import type {AccessNeed} from '../aws/iam-plan.js'
import type {AssumedRole, Config} from '../config/settings.js'

/** What the Database Service of a configuration needs in AWS. */
export function needsOf({dbService: {aws, databases, resources}}: Config): AccessNeed[] {
  return [
    ...aws.map((matcher) => ({types: matcher.types, ...roleOf(matcher), finds: true})),
    ...databases.flatMap(({type, resource: {spec}}) =>
      type === 'self-hosted'
        ? []
        : [{types: [type], assumeRoleArn: spec.aws?.assume_role_arn, externalId: spec.aws?.external_id}],
    ),
    // Which types they will be is not known yet.
    ...resources.flatMap((selector) => (selector.assumeRoleArn ? [{types: [], ...roleOf(selector)}] : [])),
  ]
}

const roleOf = ({assumeRoleArn, externalId}: AssumedRole): AssumedRole => ({assumeRoleArn, externalId})
