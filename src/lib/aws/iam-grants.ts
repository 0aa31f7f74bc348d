/** What signing in to one database is allowed by, as ARNs. Asks nobody; pure. */
import {partitionOf, type AwsDatabase} from './aws-database.js'
import type {DatabaseGrant} from './iam-policy.js'

/** A grant, and what of its ARNs is not known and stands in them in angle brackets. */
export interface NamedGrant extends DatabaseGrant {
  readonly unknown: readonly string[]
}

export function grantFor({type, settings}: Pick<AwsDatabase, 'type' | 'settings'>): NamedGrant {
  const {region, account_id: account, rds, rdsproxy, redshift} = settings
  const unknown: string[] = []
  const known = (value: string | undefined, what: string): string => {
    if (value !== undefined) return value
    unknown.push(what)
    return `<${what.replaceAll(' ', '-')}>`
  }
  const place = (service: string): string =>
    `arn:${partitionOf(region ?? '')}:${service}:${known(region, 'region')}:${known(account, 'account id')}`
  switch (type) {
    case 'rds':
    case 'rdsproxy': {
      const id = type === 'rds' ? rds?.resource_id : rdsproxy?.resource_id
      return {type, signIn: [`${place('rds-db')}:dbuser:${known(id, 'resource id')}/*`], unknown}
    }
    case 'redshift': {
      const owner = place('redshift')
      const cluster = known(redshift?.cluster_id, 'cluster id')
      return {type, signIn: ['dbuser', 'dbname', 'dbgroup'].map((kind) => `${owner}:${kind}:${cluster}/*`), unknown}
    }
    // The roles of its users sign in.
    case 'redshift-serverless':
      return {type, signIn: [], unknown}
  }
}
