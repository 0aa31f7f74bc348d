/** Sign-in to Redshift: its API gives out passwords, for an existing database user or for the IAM role that asks. */
import {PosternError} from '../core/errors.js'
import {Secret} from '../core/secret.js'
import {using, type AwsClients, type Caller} from './clients.js'
import {awsFailure} from './failure.js'

export interface IssuedPassword {
  /** The name that the password is for; AWS makes it. */
  readonly user: string
  readonly password: Secret
  /** Wall-clock milliseconds. */
  readonly expires: number
}

export interface ClusterRequest {
  readonly clients: AwsClients
  readonly caller: Caller
  readonly clusterId: string
  readonly dbName: string
}

/** What GetClusterCredentials takes (Redshift API Reference), of any length that a user may have. */
const userForm = /^[a-z][\w.@+-]{0,126}$/

/**
 * A password for a database user that exists: none is ever created.
 * @param dbUser folded
 * @throws PosternError INVALID for a name that cannot be one
 */
export async function askForUser(request: ClusterRequest & {readonly dbUser: string}): Promise<IssuedPassword> {
  const {clients, caller, clusterId, dbName, dbUser} = request
  if (!userForm.test(dbUser)) {
    throw new PosternError('INVALID', `"${dbUser}" is no name of a Redshift user.`, {
      hint: 'Name an existing database user without "IAM:", or an IAM role as role/NAME.',
    })
  }
  const {GetClusterCredentialsCommand} = await import('@aws-sdk/client-redshift')
  const command = new GetClusterCredentialsCommand({
    ClusterIdentifier: clusterId,
    DbUser: dbUser,
    DbName: dbName,
    AutoCreate: false,
    DbGroups: [],
  })
  const given = await using(await clients.redshift(caller), (client) => client.send(command)).catch(
    (error: unknown) => {
      throw awsFailure(error, `AWS gives no password for the Redshift user "${dbUser}" of "${clusterId}"`, [
        `The identity of the agent needs redshift:GetClusterCredentials on dbuser:${clusterId}/${dbUser} and dbname:${clusterId}/${dbName}.`,
        propagation,
      ])
    },
  )
  return readIssued({user: given.DbUser, password: given.DbPassword, expires: given.Expiration})
}

/** A password for the database user that stands for the caller's role; Redshift makes that user when it is new. */
export async function askForRole({clients, caller, clusterId, dbName}: ClusterRequest): Promise<IssuedPassword> {
  const {GetClusterCredentialsWithIAMCommand} = await import('@aws-sdk/client-redshift')
  const command = new GetClusterCredentialsWithIAMCommand({ClusterIdentifier: clusterId, DbName: dbName})
  const given = await using(await clients.redshift(caller), (client) => client.send(command)).catch(
    (error: unknown) => {
      throw awsFailure(error, `AWS gives the IAM role no password for the Redshift cluster "${clusterId}"`, [
        `The role needs redshift:GetClusterCredentialsWithIAM on dbname:${clusterId}/${dbName}.`,
        propagation,
      ])
    },
  )
  return readIssued({user: given.DbUser, password: given.DbPassword, expires: given.Expiration})
}

export interface WorkgroupRequest {
  readonly clients: AwsClients
  readonly caller: Caller
  readonly workgroup: string
  readonly dbName: string
}

/** The same for Redshift Serverless. */
export async function askForWorkgroup(request: WorkgroupRequest): Promise<IssuedPassword> {
  const {clients, caller, workgroup, dbName} = request
  const {GetCredentialsCommand} = await import('@aws-sdk/client-redshift-serverless')
  const command = new GetCredentialsCommand({workgroupName: workgroup, dbName})
  const given = await using(await clients.redshiftServerless(caller), (client) => client.send(command)).catch(
    (error: unknown) => {
      throw awsFailure(
        error,
        `AWS gives the IAM role no password for the Redshift Serverless workgroup "${workgroup}"`,
        ['The role needs redshift-serverless:GetCredentials on the workgroup.', propagation],
      )
    },
  )
  return readIssued({user: given.dbUser, password: given.dbPassword, expires: given.expiration})
}

const propagation = 'Changes of IAM take effect after up to a minute.'

interface Given {
  readonly user: string | undefined
  readonly password: string | undefined
  readonly expires: Date | undefined
}

function readIssued({user, password, expires}: Given): IssuedPassword {
  if (!user || !password || !expires) throw new PosternError('FAILED', 'AWS answered without a database password.')
  return {user, password: new Secret(password), expires: expires.getTime()}
}
