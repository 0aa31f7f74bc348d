/** All of AWS that an agent keeps between connections: credentials, sessions of roles, passwords, pace. One per process. */
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {AwsDatabase} from './aws-database.js'
import {AwsClients} from './clients.js'
import type {AwsEnvironment} from './environment.js'
import {HostCredentials} from './host-credentials.js'
import {AwsIdentities} from './identities.js'
import {Pacer} from './pacing.js'
import {DatabasePasswords} from './passwords.js'
import {TrustRootsByType} from './trust-roots.js'

export interface AwsOptions {
  readonly environment: AwsEnvironment
  readonly clock: Clock
}

export class Aws {
  readonly passwords: DatabasePasswords
  readonly trustRoots: TrustRootsByType
  readonly pacer: Pacer

  constructor({environment, clock}: AwsOptions) {
    const clients = new AwsClients(environment)
    const host = new HostCredentials({environment, clients, clock})
    const identities = new AwsIdentities({clients, host, clock})
    this.trustRoots = new TrustRootsByType(environment)
    this.pacer = new Pacer(clock)
    this.passwords = new DatabasePasswords({
      clients,
      identities,
      clock,
      workgroupOf: (database) => Promise.resolve(workgroupOf(database)),
    })
  }
}

function workgroupOf({name, settings}: AwsDatabase): string {
  const workgroup = settings.redshift_serverless?.workgroup_name
  if (workgroup !== undefined) return workgroup
  throw new PosternError('INVALID', `The Redshift Serverless workgroup of the database "${name}" is not known.`, {
    hint: 'Set aws.redshift_serverless.workgroup_name.',
  })
}
