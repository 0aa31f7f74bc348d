/** IAM's operations on users and roles: reading them, and their inline policies. */
import {requirePermission} from './authorization.js'
import {Fault} from './fault.js'
import type {Grants, Role, User} from './identities.js'
import {paginate} from './page.js'
import {parsePolicy, type Policy, type PolicyKind} from './policy-document.js'
import {checkInlineQuota} from './quotas.js'
import {percentEncode} from './sigv4.js'
import type {QueryFields} from './query-fields.js'
import type {QueryCall, QueryOperation} from './query-service.js'
import {effectiveTime} from './world.js'
import {xmlTime, type XmlObject, type XmlValue} from './xml.js'

const defaultPageSize = 100

export type IdentityKind = 'user' | 'role'

const nameFields = {user: 'UserName', role: 'RoleName'} as const

/**
 * The user or role that a call names, if the caller may do this to it.
 * @throws Fault AccessDenied, NoSuchEntity
 */
export function findIdentity(call: QueryCall, kind: IdentityKind, action: string): User | Role {
  const {world, account, principal, fields} = call
  const isOwn = kind === 'user' && principal.kind === 'user' && fields.text('UserName') === undefined
  const name = isOwn ? principal.identity.name : fields.required(nameFields[kind])
  const identity = kind === 'user' ? account.users.get(name) : account.roles.get(name)
  const resource = identity?.arn ?? `arn:aws:iam::${account.id}:${kind}/${name}`
  requirePermission(world, principal, {action: `iam:${action}`, resource}, `${kind} ${name}`)
  if (!identity) throw noSuchEntity(`The ${kind} with name ${name} cannot be found.`)
  return identity
}

export const noSuchEntity = (message: string): Fault => new Fault('NoSuchEntity', 404, message)

/** @throws Fault MalformedPolicyDocument */
export function readPolicyDocument(fields: QueryFields, kind: PolicyKind = 'permissions'): Policy {
  const text = fields.required('PolicyDocument')
  try {
    return parsePolicy(text, kind)
  } catch (error) {
    throw new Fault('MalformedPolicyDocument', 400, error instanceof Error ? error.message : 'Malformed policy')
  }
}

export const writeTags = (tags: ReadonlyMap<string, string>): XmlValue => ({
  member: Array.from(tags, ([key, value]) => ({Key: key, Value: value})),
})

function describe(identity: User | Role): XmlObject {
  const {boundary} = identity.grants.latest
  return {
    Path: identity.path,
    Arn: identity.arn,
    CreateDate: xmlTime(identity.created),
    PermissionsBoundary: boundary && {PermissionsBoundaryType: 'Policy', PermissionsBoundaryArn: boundary},
    Tags: writeTags(identity.tags),
  }
}

const getRole: QueryOperation = (call) => {
  const role = findIdentity(call, 'role', 'GetRole') as Role
  return {
    Role: {
      ...describe(role),
      RoleName: role.name,
      RoleId: role.id,
      // Documents in answers are percent-encoded (IAM API Reference, "Role").
      AssumeRolePolicyDocument: percentEncode(role.trust.latest.text),
      MaxSessionDuration: role.maxSessionSeconds,
    },
  }
}

const getUser: QueryOperation = (call) => {
  const user = findIdentity(call, 'user', 'GetUser')
  return {User: {...describe(user), UserName: user.name, UserId: user.id}}
}

const label = {user: 'User', role: 'Role'} as const

function getInline(kind: IdentityKind): QueryOperation {
  return (call) => {
    const {grants, name} = findIdentity(call, kind, `Get${label[kind]}Policy`)
    const policyName = call.fields.required('PolicyName')
    const policy = grants.latest.inline.get(policyName)
    if (!policy) throw noSuchInline(kind, policyName)
    return {[nameFields[kind]]: name, PolicyName: policyName, PolicyDocument: percentEncode(policy.text)}
  }
}

function listInline(kind: IdentityKind): QueryOperation {
  return (call) => {
    const {grants} = findIdentity(call, kind, `List${label[kind]}Policies`)
    const {fields} = call
    const names = [...grants.latest.inline.keys()]
    const {items, marker} = paginate(names, fields.text('Marker'), fields.integer('MaxItems') ?? defaultPageSize)
    return {PolicyNames: {member: items}, IsTruncated: marker !== undefined, Marker: marker}
  }
}

function putInline(kind: IdentityKind): QueryOperation {
  return (call) => {
    const identity = findIdentity(call, kind, `Put${label[kind]}Policy`)
    const inline = new Map([
      ...identity.grants.latest.inline,
      [call.fields.required('PolicyName'), readPolicyDocument(call.fields)],
    ])
    checkInlineQuota(kind, identity.name, inline)
    changeGrants(call, identity, {inline})
    return undefined
  }
}

function deleteInline(kind: IdentityKind): QueryOperation {
  return (call) => {
    const identity = findIdentity(call, kind, `Delete${label[kind]}Policy`)
    const inline = new Map(identity.grants.latest.inline)
    const policyName = call.fields.required('PolicyName')
    if (!inline.delete(policyName)) throw noSuchInline(kind, policyName)
    changeGrants(call, identity, {inline})
    return undefined
  }
}

const noSuchInline = (kind: IdentityKind, name: string): Fault =>
  noSuchEntity(`The ${kind} policy with name ${name} cannot be found.`)

/** Changes what an identity may do, to take effect when the change has spread. */
export function changeGrants({world}: QueryCall, {grants}: User | Role, change: Partial<Grants>): void {
  grants.set({...grants.latest, ...change}, effectiveTime(world))
}

export const identityOperations: Readonly<Record<string, QueryOperation>> = {
  GetRole: getRole,
  GetUser: getUser,
  GetRolePolicy: getInline('role'),
  GetUserPolicy: getInline('user'),
  ListRolePolicies: listInline('role'),
  ListUserPolicies: listInline('user'),
  PutRolePolicy: putInline('role'),
  PutUserPolicy: putInline('user'),
  DeleteRolePolicy: deleteInline('role'),
  DeleteUserPolicy: deleteInline('user'),
}
