import {chainOf, partitionOf, type AwsDatabase} from './aws-database.js'
import type {AwsDescription} from './description.js'
import type {RoleHop} from './identities.js'
import type {PermissionQuestion} from './permission.js'
import type {PolicyOwner} from './written-policies.js'

/** Who wants to sign in where. */
export interface SignIn {
  readonly database: AwsDatabase
  /** The user in the database; of no interest where a role signs in. */
  readonly dbUser: string
  /** The roles that are assumed for the user, in order. */
  readonly chain: readonly RoleHop[]
  readonly region: string
}

/** A permission; its resource holds `*` for an id that is not known. */
export interface Need extends PermissionQuestion {
  readonly isExact: boolean
}

/** The permission that signing in takes. */
export function needOf(
  {database, dbUser, region, chain}: SignIn,
  owner: PolicyOwner,
  description: AwsDescription | undefined,
): Need {
  const {account_id, rds, rdsproxy, redshift, redshift_serverless} = description?.settings ?? database.settings
  const account = account_id ?? owner.arn.split(':')[4] ?? ''
  const need = (action: string, kind: string, id: string | undefined, name = ''): Need => {
    const [service] = action.split(':')
    const place = `arn:${partitionOf(region)}:${service ?? ''}:${region}:${account}`
    return {owner, action, resource: `${place}:${kind}${id ?? '*'}${name}`, isExact: id !== undefined}
  }
  switch (database.type) {
    case 'rds':
      return need('rds-db:connect', 'dbuser:', rds?.resource_id, `/${dbUser}`)
    case 'rdsproxy':
      return need('rds-db:connect', 'dbuser:', rdsproxy?.resource_id, `/${dbUser}`)
    case 'redshift': {
      const isRole = chain.length > chainOf(database).length
      return isRole
        ? need('redshift:GetClusterCredentialsWithIAM', 'dbname:', redshift?.cluster_id, '/*')
        : need('redshift:GetClusterCredentials', 'dbuser:', redshift?.cluster_id, `/${dbUser}`)
    }
    case 'redshift-serverless':
      return need('redshift-serverless:GetCredentials', 'workgroup/', redshift_serverless?.workgroup_id)
  }
}
