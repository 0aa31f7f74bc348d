/** What was seen in AWS, as findings: each with its one cause and the one thing to do. */
import {messageOf} from '../core/errors.js'
import {detectEndpoint} from '../resources/endpoint.js'
import {failed, passed, skipped, type Finding} from '../resources/finding.js'
import type {AwsDatabase} from './aws-database.js'
import type {CallerFacts} from './caller.js'
import {readDenial} from './denial.js'
import type {AwsDescription} from './description.js'
import {describeAwsError, isDenied, isMissing} from './failure.js'

/** Requests and tokens of a clock that differs by more are refused (IAM and RDS: 5 minutes ahead, or a token's life behind). */
const clockTolerance = 5 * 60_000

/** Undefined when the endpoint does not tell its region. */
export function regionFinding({endpoint, settings}: AwsDatabase): Finding | undefined {
  const {region: actual} = detectEndpoint(endpoint.host)
  if (actual === undefined) return undefined
  const {region = actual} = settings
  if (region === actual) return passed('region', `The endpoint is in ${actual}.`)
  return failed(
    'region',
    'wrong-region',
    `The database has aws.region "${region}", but its endpoint ${endpoint.host} is in ${actual}.`,
    `Set aws.region of the database to ${actual}, or remove it.`,
  )
}

/** What it means that no source on the host has credentials. */
export function noCredentials(error: unknown): Finding {
  const said = messageOf(error)
  const cause = said.includes('HttpPutResponseHopLimit')
    ? 'The agent runs in a container, and the hop limit of the instance keeps the metadata service from it.'
    : 'None of the places where the host of the agent may keep AWS credentials holds any that work.'
  const fix = said.includes('HttpPutResponseHopLimit')
    ? 'Run: aws ec2 modify-instance-metadata-options --instance-id <id> --http-put-response-hop-limit 2.'
    : 'Give the host of the agent an instance role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for it.'
  return failed('credentials', 'no-credentials', cause, fix)
}

/** What it means that AWS does not take credentials; undefined when the error is about something else. */
export function rejectedCredentials(error: unknown): Finding | undefined {
  const {name = ''} = error as Partial<Error>
  if (name.startsWith('ExpiredToken')) {
    return failed(
      'credentials',
      'expired-credentials',
      'The AWS credentials of the agent have expired.',
      'Renew them where the agent gets them from, or let it use a role, whose sessions renew themselves.',
    )
  }
  if (
    /^(InvalidClientTokenId|UnrecognizedClient|InvalidAccessKeyId|SignatureDoesNotMatch|InvalidSignature)/.test(name)
  ) {
    return failed(
      'credentials',
      'unknown-credentials',
      `AWS does not take the access key of the agent: ${describeAwsError(error)}`,
      'Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: the key may have been deleted, or mistyped.',
    )
  }
  return undefined
}

export function credentialsFinding({identity, failure}: CallerFacts): Finding {
  if (identity) return passed('credentials', `The agent is ${identity.arn}.`)
  return (
    rejectedCredentials(failure) ??
    skipped('credentials', `AWS does not say who the agent is: ${describeAwsError(failure)}.`)
  )
}

export function clockFinding(skew: number | undefined): Finding {
  if (skew === undefined) return skipped('clock', 'AWS did not say what time it is.')
  const minutes = Math.round(Math.abs(skew) / 60_000)
  if (Math.abs(skew) <= clockTolerance)
    return passed('clock', 'The clock of the host differs from AWS’ by less than five minutes.')
  return failed(
    'clock',
    'clock-skew',
    `The clock of the agent’s host is ${minutes} minutes ${skew > 0 ? 'behind' : 'ahead of'} AWS’.`,
    'Set the clock of the host, and keep it right with NTP (chrony, systemd-timesyncd).',
  )
}

export function databaseFinding(
  {endpoint, name}: AwsDatabase,
  described: AwsDescription | {readonly error: unknown},
): Finding {
  if (!('error' in described)) {
    if (described.hosts.length === 0 || described.hosts.includes(endpoint.host.toLowerCase())) {
      return passed('database', `AWS knows the database at ${endpoint.host}.`)
    }
    return failed(
      'database',
      'unknown-database',
      `AWS does not know ${endpoint.host} as an endpoint of the database that "${name}" names.`,
      'Correct the uri of the database, or the id under aws.',
    )
  }
  const {error} = described
  if (isMissing(error)) {
    return failed(
      'database',
      'unknown-database',
      `There is no such database in the account and region of the agent’s credentials: ${describeAwsError(error)}`,
      'Set aws.assume_role_arn of the database to a role in the account that owns it, or correct its uri.',
    )
  }
  const denial = readDenial(error)
  return skipped(
    'database',
    isDenied(error)
      ? `AWS does not let the agent describe the database: it is not allowed ${denial?.action ?? 'the request'}.`
      : `AWS does not describe the database: ${describeAwsError(error)}.`,
  )
}

export function iamFinding(description: AwsDescription | undefined): Finding {
  const {iam_auth: isOn, cluster_id: cluster, instance_id: instance} = description?.settings.rds ?? {}
  if (isOn === undefined) return skipped('iam-authentication', 'Whether IAM authentication is on is not known.')
  const what = cluster === undefined ? `instance "${instance ?? ''}"` : `cluster "${cluster}"`
  if (isOn) return passed('iam-authentication', `IAM authentication is on for the ${what}.`)
  const command =
    cluster === undefined
      ? `aws rds modify-db-instance --db-instance-identifier ${instance ?? ''}`
      : `aws rds modify-db-cluster --db-cluster-identifier ${cluster}`
  return failed(
    'iam-authentication',
    'iam-authentication-off',
    `IAM authentication is off for the ${what}.`,
    `Switch it on: ${command} --enable-iam-database-authentication --apply-immediately.`,
  )
}
