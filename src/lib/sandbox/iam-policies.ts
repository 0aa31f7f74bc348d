/** IAM's operations on managed policies, their versions, and what they are attached to. */
import {requirePermission} from './authorization.js'
import {Fault} from './fault.js'
import {
  changeGrants,
  findIdentity,
  noSuchEntity,
  readPolicyDocument,
  writeTags,
  type IdentityKind,
} from './iam-identities.js'
import {createPolicy, type ManagedPolicy, type PolicyVersion} from './identities.js'
import {checkAttachedQuota, checkManagedQuota, checkVersionQuota, summaryQuotas} from './quotas.js'
import {percentEncode} from './sigv4.js'
import {paginate} from './page.js'
import type {QueryCall, QueryOperation} from './query-service.js'
import {effectiveTime} from './world.js'
import {xmlTime, type XmlObject, type XmlValue} from './xml.js'

const defaultPageSize = 100

/** @throws Fault AccessDenied, NoSuchEntity */
function findManaged(call: QueryCall, action: string): ManagedPolicy {
  const {world, account, principal, fields} = call
  const arn = fields.required('PolicyArn')
  requirePermission(world, principal, {action: `iam:${action}`, resource: arn}, `policy ${arn}`)
  const policy = account.policies.get(arn)
  if (!policy) throw noSuchEntity(`Policy ${arn} was not found.`)
  return policy
}

const createManaged: QueryOperation = (call) => {
  const {world, account, principal, fields} = call
  const name = fields.required('PolicyName')
  const path = fields.text('Path') ?? '/'
  const arn = `arn:aws:iam::${account.id}:policy${path}${name}`
  const tags = readTags(call)
  const actions = ['iam:CreatePolicy', ...(Object.keys(tags).length > 0 ? ['iam:TagPolicy'] : [])]
  for (const action of actions) requirePermission(world, principal, {action, resource: arn}, `policy ${name}`)
  const isTaken = Array.from(account.policies.values()).some(
    (policy) => policy.name.toLowerCase() === name.toLowerCase(),
  )
  if (isTaken) {
    throw new Fault(
      'EntityAlreadyExists',
      409,
      `A policy called ${name} already exists. Duplicate names are not allowed.`,
    )
  }
  const document = readPolicyDocument(call.fields)
  checkManagedQuota(document)
  const description = fields.text('Description')
  const definition = {name, path, tags, document: document.text, ...(description !== undefined && {description})}
  const policy = createPolicy(account.id, definition, world.now())
  account.policies.set(arn, policy)
  return {Policy: describePolicy(call, policy)}
}

function readTags({fields}: QueryCall): Record<string, string> {
  const prefixes = fields.structures('Tags.member', 'Key')
  return Object.fromEntries(
    prefixes.map((prefix) => [fields.required(`${prefix}Key`), fields.text(`${prefix}Value`) ?? '']),
  )
}

function describePolicy({account}: QueryCall, policy: ManagedPolicy): XmlValue {
  const identities = [...account.users.values(), ...account.roles.values()]
  return {
    PolicyName: policy.name,
    PolicyId: policy.id,
    Arn: policy.arn,
    Path: policy.path,
    Description: policy.description,
    DefaultVersionId: policy.defaultVersion.latest.id,
    AttachmentCount: identities.filter(({grants}) => grants.latest.attached.includes(policy.arn)).length,
    PermissionsBoundaryUsageCount: identities.filter(({grants}) => grants.latest.boundary === policy.arn).length,
    IsAttachable: true,
    CreateDate: xmlTime(policy.created),
    UpdateDate: xmlTime(policy.versions.at(-1)?.created ?? policy.created),
    Tags: writeTags(policy.tags),
  }
}

function describeVersion(policy: ManagedPolicy, version: PolicyVersion): XmlObject {
  return {
    VersionId: version.id,
    IsDefaultVersion: policy.defaultVersion.latest === version,
    CreateDate: xmlTime(version.created),
  }
}

const getVersion: QueryOperation = (call) => {
  const policy = findManaged(call, 'GetPolicyVersion')
  const version = findVersion(call, policy)
  const document = percentEncode(version.policy.text)
  return {PolicyVersion: {...describeVersion(policy, version), Document: document}}
}

function findVersion({fields}: QueryCall, policy: ManagedPolicy): PolicyVersion {
  const id = fields.required('VersionId')
  const version = policy.versions.find((one) => one.id === id)
  if (!version) throw noSuchEntity(`Policy ${policy.arn} version ${id} does not exist or is not attachable.`)
  return version
}

const listVersions: QueryOperation = (call) => {
  const policy = findManaged(call, 'ListPolicyVersions')
  const {fields} = call
  const newestFirst = policy.versions.toReversed()
  const {items, marker} = paginate(newestFirst, fields.text('Marker'), fields.integer('MaxItems') ?? defaultPageSize)
  const versions = {member: items.map((version) => describeVersion(policy, version))}
  return {Versions: versions, IsTruncated: marker !== undefined, Marker: marker}
}

const createVersion: QueryOperation = (call) => {
  const policy = findManaged(call, 'CreatePolicyVersion')
  const {world, fields} = call
  const document = readPolicyDocument(fields)
  checkManagedQuota(document)
  checkVersionQuota(policy.versions.length)
  policy.made += 1
  const version = {id: `v${policy.made}`, policy: document, created: world.now()}
  policy.versions.push(version)
  if (fields.flag('SetAsDefault') === true) policy.defaultVersion.set(version, effectiveTime(world))
  return {PolicyVersion: describeVersion(policy, version)}
}

const deleteVersion: QueryOperation = (call) => {
  const policy = findManaged(call, 'DeletePolicyVersion')
  const version = findVersion(call, policy)
  if (policy.defaultVersion.latest === version) {
    throw new Fault('DeleteConflict', 409, 'Cannot delete the default version of a policy.')
  }
  policy.versions.splice(policy.versions.indexOf(version), 1)
  return undefined
}

const setDefaultVersion: QueryOperation = (call) => {
  const policy = findManaged(call, 'SetDefaultPolicyVersion')
  policy.defaultVersion.set(findVersion(call, policy), effectiveTime(call.world))
  return undefined
}

/** IAM API Reference, "DeletePolicy": it has to be attached nowhere, and its other versions have to be gone. */
const deleteManaged: QueryOperation = (call) => {
  const policy = findManaged(call, 'DeletePolicy')
  const {account} = call
  const identities = [...account.users.values(), ...account.roles.values()]
  if (identities.some(({grants}) => grants.latest.attached.includes(policy.arn))) {
    throw new Fault('DeleteConflict', 409, 'Cannot delete a policy attached to entities.')
  }
  if (policy.versions.length > 1) {
    const text =
      "This policy has more than one version. Before you delete a policy, you must delete the policy's versions."
    throw new Fault('DeleteConflict', 409, text)
  }
  account.policies.delete(policy.arn)
  return undefined
}

function attach(kind: IdentityKind): QueryOperation {
  return (call) => {
    const identity = findIdentity(call, kind, kind === 'user' ? 'AttachUserPolicy' : 'AttachRolePolicy')
    const arn = call.fields.required('PolicyArn')
    if (!call.account.policies.has(arn)) throw noSuchEntity(`Policy ${arn} does not exist or is not attachable.`)
    const attached = [...new Set([...identity.grants.latest.attached, arn])]
    checkAttachedQuota(kind, attached.length)
    changeGrants(call, identity, {attached})
    return undefined
  }
}

function detach(kind: IdentityKind): QueryOperation {
  return (call) => {
    const identity = findIdentity(call, kind, kind === 'user' ? 'DetachUserPolicy' : 'DetachRolePolicy')
    const arn = call.fields.required('PolicyArn')
    const {attached} = identity.grants.latest
    if (!attached.includes(arn)) throw noSuchEntity(`Policy ${arn} was not found.`)
    changeGrants(call, identity, {attached: attached.filter((one) => one !== arn)})
    return undefined
  }
}

/** IAM's quotas of the account; its other figures are not kept here. */
const accountSummary: QueryOperation = (call) => {
  requirePermission(call.world, call.principal, {action: 'iam:GetAccountSummary', resource: '*'})
  return {SummaryMap: {entry: Object.entries(summaryQuotas).map(([key, value]) => ({key, value: String(value)}))}}
}

function listAttached(kind: IdentityKind): QueryOperation {
  return (call) => {
    const action = kind === 'user' ? 'ListAttachedUserPolicies' : 'ListAttachedRolePolicies'
    const {attached} = findIdentity(call, kind, action).grants.latest
    const {fields} = call
    const {items, marker} = paginate(attached, fields.text('Marker'), fields.integer('MaxItems') ?? defaultPageSize)
    const policies = items.map((arn) => ({PolicyName: arn.split('/').at(-1), PolicyArn: arn}))
    return {AttachedPolicies: {member: policies}, IsTruncated: marker !== undefined, Marker: marker}
  }
}

export const policyOperations: Readonly<Record<string, QueryOperation>> = {
  CreatePolicy: createManaged,
  GetPolicy: (call) => ({Policy: describePolicy(call, findManaged(call, 'GetPolicy'))}),
  GetPolicyVersion: getVersion,
  ListPolicyVersions: listVersions,
  CreatePolicyVersion: createVersion,
  DeletePolicyVersion: deleteVersion,
  DeletePolicy: deleteManaged,
  SetDefaultPolicyVersion: setDefaultVersion,
  GetAccountSummary: accountSummary,
  DetachRolePolicy: detach('role'),
  DetachUserPolicy: detach('user'),
  AttachRolePolicy: attach('role'),
  AttachUserPolicy: attach('user'),
  ListAttachedRolePolicies: listAttached('role'),
  ListAttachedUserPolicies: listAttached('user'),
}
