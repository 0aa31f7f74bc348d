/**
 * Looks at everything in AWS that a connection to a database needs, in this order, and changes nothing:
 *
 *   region ──► credentials, role by role ──► clock ──► database ──► IAM authentication ──► permission
 *
 * What needs a permission that the agent lacks is skipped, with the reason.
 */
import type {IAMClient} from '@aws-sdk/client-iam'
import type {Clock} from '../core/clock.js'
import {skipped, type Finding} from '../resources/finding.js'
import {chainOf} from './aws-database.js'
import {askCaller} from './caller.js'
import {using, type AwsClients, type Caller} from './clients.js'
import {describeMembers, describeOnAws, type AwsDescription} from './description.js'
import {
  clockFinding,
  credentialsFinding,
  databaseFinding,
  iamFinding,
  noCredentials,
  regionFinding,
} from './examination-findings.js'
import type {IamIdentity} from './iam-identity.js'
import type {AwsIdentities, RoleHop} from './identities.js'
import {examinePermission, isSimulatedAllowed, type PermissionQuestion, type RecentChange} from './permission.js'
import {permissionFinding} from './permission-text.js'
import {readTrust, roleFinding} from './role-trust.js'
import {needOf, type Need, type SignIn} from './sign-in-need.js'
import type {PolicyOwner} from './written-policies.js'

export interface ExaminationOptions {
  readonly clients: AwsClients
  readonly identities: AwsIdentities
  readonly clock: Clock
}

export interface ExaminationRequest extends SignIn {
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

/** Never rejects. */
export async function examine(options: ExaminationOptions, request: ExaminationRequest): Promise<Examination> {
  const {database, chain, region, signal} = request
  const {clients, identities, clock} = options
  const regionFound = regionFinding(database)
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
  const {finding, changed} = await examineNeed(options, request, {need, caller, description, now})
  return {findings: [...findings, finding], need, changed}
}

interface NeedRequest {
  readonly need: Need
  readonly caller: Caller
  readonly description: AwsDescription | undefined
  /** AWS's time, milliseconds since 1970. */
  readonly now: number
}

/** Whether IAM gives the caller what they need, and if not, on what it does instead. */
async function examineNeed(
  options: ExaminationOptions,
  request: ExaminationRequest,
  {need, caller, description, now}: NeedRequest,
): Promise<{readonly finding: Finding; readonly changed: RecentChange | undefined}> {
  const {signal} = request
  const {permission, aliases} = await using(await options.clients.iam(caller), async (iam) => {
    const found = await examinePermission(iam, need, now, signal)
    if (found.kind !== 'missing') return {permission: found, aliases: []}
    const names = await findAliases(options, request, description)
    const others = found.others ?? (await findAllowed(iam, need, names, signal))
    return {permission: {...found, others}, aliases: names}
  })
  if (!need.isExact && permission.kind === 'missing') {
    const reason = 'Permissions cannot be checked: the resource id of the database is not known.'
    return {finding: skipped('permission', reason), changed: undefined}
  }
  const changed = permission.kind === 'allowed' || permission.kind === 'changing' ? permission.changed : undefined
  return {finding: permissionFinding('permission', permission, need, aliases), changed}
}

/** Databases are described as the database's own role, not as the user's. */
async function callerFor({identities}: ExaminationOptions, {database, region}: ExaminationRequest): Promise<Caller> {
  return {session: await identities.session({chain: chainOf(database), region}), region}
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

/** What policies name by mistake in the place of the resource id: names, and the ids of a cluster’s instances. */
async function findAliases(
  options: ExaminationOptions,
  request: ExaminationRequest,
  description: AwsDescription | undefined,
): Promise<readonly string[]> {
  const {database, signal} = request
  const {rds, rdsproxy} = description?.settings ?? database.settings
  const names = [rds?.cluster_id, rds?.instance_id, rdsproxy?.name].filter((name) => name !== undefined)
  if (database.type !== 'rds' || rds?.cluster_id === undefined) return names
  const caller = await callerFor(options, request)
  const members = await describeMembers({clients: options.clients, caller, database, signal}, rds.cluster_id).catch(
    () => [],
  )
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
