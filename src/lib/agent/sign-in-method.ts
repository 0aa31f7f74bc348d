/** How the agent proves itself to a database: a certificate of ours where it is self-hosted, a password of AWS elsewhere. */
import type {Aws} from '../aws/aws.js'
import type {AwsDatabase} from '../aws/aws-database.js'
import type {Diagnosis} from '../resources/finding.js'
import {instanceOf, mayBeThrottled} from '../aws/throttling.js'
import type {Secret} from '../core/secret.js'
import type {AuthenticationMethod} from '../pgwire/authenticator.js'
import type {ServerError} from '../pgwire/server-error.js'
import type {Credentials} from '../pki/credentials.js'
import type {Guest} from './admission.js'
import type {ClientCertificates} from './client-certificates.js'
import {ownCaHint, readOwnRefusal} from './connect-failure.js'
import type {DefaultTrust} from './server-tls.js'

export interface SignInMethod extends DefaultTrust {
  /** Names to sign in under. */
  readonly user: string
  readonly dbName: string
  readonly authenticator: AuthenticationMethod
  /** A client certificate. */
  readonly credentials?: Credentials
  /** The name that the server's certificate is for, when it is not the registered one. */
  readonly serverName?: string | undefined
  /** What to do about a certificate that is not trusted. */
  readonly trustHint: string
  /** What a refusal means, where its words say so. */
  readonly explain: (refusal: ServerError) => Diagnosis | undefined
}

/** To a self-hosted database: with a certificate that the control plane gives for the user's own. */
export async function certificateMethod(certificates: ClientCertificates, guest: Guest): Promise<SignInMethod> {
  const {credentials, authorities} = await certificates.get(guest.certificate)
  return {
    user: guest.route.dbUser,
    dbName: guest.dbName,
    authenticator: {kind: 'none'},
    credentials,
    authorities,
    isPublic: false,
    namesHint: 'Issue a certificate with names, for example with `postern auth sign --format=db --host=NAME`.',
    trustHint: ownCaHint,
    explain: (refusal) => readOwnRefusal(refusal, guest.route.dbUser),
  }
}

/** With a password of AWS. */
export type PasswordMethod = SignInMethod & {readonly password: Secret}

/** A sign-in to a database on AWS. */
export interface AwsSignIn {
  readonly aws: Aws
  readonly database: AwsDatabase
  readonly guest: Guest
  /** Whether the client has left. */
  readonly isGone: () => boolean
}

/**
 * To a database on AWS: with a password that is good for one database user and some minutes.
 * @param refused a password that did not work, so that another is got
 * @throws PosternError
 */
export async function passwordMethod({aws, database, guest}: AwsSignIn, refused?: Secret): Promise<PasswordMethod> {
  const {dbUser} = guest.route
  const [{user, dbName, password}, {certificates, isPublic}] = await Promise.all([
    aws.passwords.get({database, dbUser, dbName: guest.dbName, refused}),
    aws.trustRoots.get(database.type),
  ])
  return {
    user,
    dbName,
    password,
    authenticator: {kind: 'password', password},
    authorities: certificates,
    isPublic,
    namesHint: 'Rotate the SSL/TLS certificate of the database in AWS: those from before July 2020 carry no names.',
    trustHint:
      'Connect to AWS directly; where something has to stand between, set tls.ca_cert_file of the database to its CA.',
    // Diagnoses asks AWS.
    explain: () => undefined,
  }
}

/** Waits for the turn of a new sign-in to this instance; its time. @throws PosternError when too many wait, or the client has left */
export const takeTurn = ({aws, database, isGone}: AwsSignIn): Promise<number> =>
  aws.pacer.turn(instanceOf(database), isGone)

/**
 * Whether to sign in once more; if so, the next ones to this instance come slower.
 * @param turn of the sign-in that was refused
 */
export function mayTryAgain({aws, database}: AwsSignIn, turn: number, refusal: ServerError): boolean {
  const instance = instanceOf(database)
  if (!mayBeThrottled(database, refusal, aws.pacer.isBusy(instance, turn))) return false
  aws.pacer.slowDown(instance)
  return true
}
