/**
 * Looks at everything in AWS that a connection to a database needs, in this order, and changes nothing:
 *
 *   region ──► credentials, role by role ──► clock ──► database ──► IAM authentication ──► permission
 *
 * What needs a permission that the agent lacks is skipped, with the reason.
 */
import type {IAMClient} from '@aws-sdk/client-iam'
import type {Clock} from '../core/clock.js'
import {messageOf} from '../core/errors.js'
import {detectEndpoint} from '../resources/endpoint.js'
import {chainOf, partitionOf, type AwsDatabase} from './aws-database.js'
import {askCaller, type CallerFacts} from './caller.js'
import {using, type AwsClients, type Caller} from './clients.js'
import {readDenial} from './denial.js'
import {describeMembers, describeOnAws, type AwsDescription} from './description.js'
import {describeAwsError, isDenied, isMissing} from './failure.js'
import {failed, passed, skipped, type Finding} from '../resources/finding.js'
import type {IamIdentity} from './iam-identity.js'
import type {AwsIdentities, RoleHop} from './identities.js'
import {examinePermission, isSimulatedAllowed, type PermissionQuestion, type RecentChange} from './permission.js'
import {permissionFinding} from './permission-text.js'
import type {PolicyOwner} from './written-policies.js'
import {readTrust, roleFinding} from './role-trust.js'

export interface ExaminationOptions {
  readonly clients: AwsClients
  readonly identities: AwsIdentities
  readonly clock: Clock
}

export interface ExaminationRequest {
  readonly database: AwsDatabase
  /** The user in the database; of no interest where a role signs in. */
  readonly dbUser: string
  /** The roles that are assumed for the user, in order. */
  readonly chain: readonly RoleHop[]
  readonly region: string
  /** Ends the requests that are still under way; their checks are skipped. */
  readonly signal: AbortSignal
}

export interface Examination {
  readonly findings: readonly Finding[]
  /** What the user needs on this database, as far as it is known. */
  readonly need: Need | undefined
  /** A policy that was changed a moment ago. */
  readonly changed: RecentChange | undefined
}

/** A permission; its resource holds `*` for an id that is not known. */
export interface Need extends PermissionQuestion {
  readonly isExact: boolean
}

/** Requests and tokens of a clock that differs by more are refused (IAM and RDS: 5 minutes ahead, or a token's life behind). */
const clockTolerance = 5 * 60_000

/** Never rejects. */
export async function examine(options: ExaminationOptions, request: ExaminationRequest): Promise<Examination> {
  const {database, chain, region, signal} = request
  const {clients, identities, clock} = options
  const regionFound = examineRegion(database)
  const before: Finding[] = regionFound ? [regionFound] : []
  let caller: Caller
  try {
    caller = {session: await identities.session({chain, region}), region}
  } catch (error) {
    return {findings: [...before, await examineChain(options, request, error)], need: undefined, changed: undefined}
  }
  const [facts, described] = await Promise.all([
    askCaller(clients, caller, clock, signal),
    describeOnAws({clients, caller: await callerFor(options, request), database, signal}).catch(
      (error: unknown) => ({error}) as const,
    ),
  ])
  const description = 'error' in described ? undefined : described
  const findings = [
    ...before,
    credentialsFinding(facts),
    clockFinding(facts.skew),
    databaseFinding(database, described),
    ...(database.type === 'rds' ? [iamFinding(description)] : []),
  ]
  const need =
    facts.identity && needOf(request, await ownerOf(options, caller, facts.identity, chain, signal), description)
  if (!need) {
    const finding = skipped('permission', 'Permissions cannot be checked: AWS did not say whose credentials they are.')
    return {findings: [...findings, finding], need, changed: undefined}
  }
  const now = clock.now() + (facts.skew ?? 0)
  const {permission, aliases} = await using(await clients.iam(caller), async (iam) => {
    const found = await examinePermission(iam, need, now, signal)
    if (found.kind !== 'missing') return {permission: found, aliases: []}
    const names = await findAliases(options, request, description)
    const others = found.others ?? (await findAllowed(iam, need, names, signal))
    return {permission: {...found, others}, aliases: names}
  })
  if (!need.isExact && permission.kind === 'missing') {
    const finding = skipped(
      'permission',
      'Permissions cannot be checked: the resource id of the database is not known.',
    )
    return {findings: [...findings, finding], need, changed: undefined}
  }
  const changed = permission.kind === 'allowed' || permission.kind === 'changing' ? permission.changed : undefined
  return {findings: [...findings, permissionFinding('permission', permission, need, aliases)], need, changed}
}

/** Databases are described as the database's own role, not as the user's. */
async function callerFor({identities}: ExaminationOptions, {database, region}: ExaminationRequest): Promise<Caller> {
  return {session: await identities.session({chain: chainOf(database), region}), region}
}

function examineRegion({endpoint, settings}: AwsDatabase): Finding | undefined {
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

/** Which role of the chain cannot be assumed, or why the host has no credentials. */
async function examineChain(
  options: ExaminationOptions,
  request: ExaminationRequest,
  error: unknown,
): Promise<Finding> {
  const {identities, clients, clock} = options
  const {chain, region, signal} = request
  for (const [index, hop] of chain.entries()) {
    let caller: Caller
    try {
      caller = {session: await identities.session({chain: chain.slice(0, index), region}), region}
    } catch {
      break
    }
    const isAssumed = await identities.session({chain: chain.slice(0, index + 1), region}).then(
      () => true,
      () => false,
    )
    if (isAssumed) continue
    const facts = await askCaller(clients, caller, clock, signal)
    if (!facts.identity) return credentialsFinding(facts)
    return examineHop(options, {hop, caller, identity: facts.identity, before: chain.slice(0, index), signal})
  }
  return noCredentials(error)
}

interface HopRequest {
  readonly hop: RoleHop
  readonly caller: Caller
  readonly identity: IamIdentity
  readonly before: readonly RoleHop[]
  readonly signal: AbortSignal
}

async function examineHop(options: ExaminationOptions, request: HopRequest): Promise<Finding> {
  const {hop, caller, identity, before, signal} = request
  const {clients, clock} = options
  const owner = await ownerOf(options, caller, identity, before, signal)
  const question = {owner, action: 'sts:AssumeRole', resource: hop.arn}
  return using(await clients.iam(caller), async (iam) => {
    const [permission, trust] = await Promise.all([
      examinePermission(iam, question, clock.now(), signal),
      readTrust(iam, hop, identity, signal).catch(() => ({kind: 'unknown'}) as const),
    ])
    return roleFinding(hop, identity, permission, trust, question)
  })
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

function credentialsFinding({identity, failure}: CallerFacts): Finding {
  if (identity) return passed('credentials', `The agent is ${identity.arn}.`)
  return (
    rejectedCredentials(failure) ??
    skipped('credentials', `AWS does not say who the agent is: ${describeAwsError(failure)}.`)
  )
}

function clockFinding(skew: number | undefined): Finding {
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

function databaseFinding(
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

function iamFinding(description: AwsDescription | undefined): Finding {
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

/** The identity as IAM knows it: of a session, the role with its path. */
async function ownerOf(
  {clients}: ExaminationOptions,
  caller: Caller,
  identity: IamIdentity,
  chain: readonly RoleHop[],
  signal: AbortSignal,
): Promise<PolicyOwner> {
  const {kind, name, arn, partition, account} = identity
  if (kind !== 'assumed-role') return {kind, name, arn}
  const assumed = chain.at(-1)?.arn
  if (assumed !== undefined) return {kind: 'role', name, arn: assumed}
  const guess = `arn:${partition}:iam::${account}:role/${name}`
  const {GetRoleCommand} = await import('@aws-sdk/client-iam')
  const found = await using(await clients.iam(caller), (iam) =>
    iam.send(new GetRoleCommand({RoleName: name}), {abortSignal: signal}),
  ).catch(() => undefined)
  return {kind: 'role', name, arn: found?.Role?.Arn ?? guess}
}

/** The permission to sign in. */
function needOf(
  {database, dbUser, region, chain}: ExaminationRequest,
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

/** What policies name by mistake in the place of the resource id: names, and the ids of a cluster’s instances. */
async function findAliases(
  {clients, identities}: ExaminationOptions,
  {database, region, signal}: ExaminationRequest,
  description: AwsDescription | undefined,
): Promise<readonly string[]> {
  const {rds, rdsproxy} = description?.settings ?? database.settings
  const names = [rds?.cluster_id, rds?.instance_id, rdsproxy?.name].filter((name) => name !== undefined)
  if (database.type !== 'rds' || rds?.cluster_id === undefined) return names
  const caller = {session: await identities.session({chain: chainOf(database), region}), region}
  const members = await describeMembers({clients, caller, database, signal}, rds.cluster_id).catch(() => [])
  return [...names, ...members]
}

/** Which of these the user may sign in to, where policies cannot be read. */
async function findAllowed(
  iam: IAMClient,
  need: PermissionQuestion,
  aliases: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (need.action !== 'rds-db:connect') return []
  const resources = aliases.map((alias) => need.resource.replace(/:dbuser:[^/]*/, `:dbuser:${alias}`))
  const answers = await Promise.all(resources.map((resource) => isSimulatedAllowed(iam, {...need, resource}, signal)))
  return resources.filter((_, index) => answers[index] === true)
}
