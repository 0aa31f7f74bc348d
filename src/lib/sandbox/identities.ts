/** State of a fake account's users, roles and managed policies. */
import {randomBytes} from 'node:crypto'
import {Secret} from '../core/secret.js'
import type {
  AccountDefinition,
  ManagedPolicyDefinition,
  PolicySource,
  RoleDefinition,
  UserDefinition,
} from './definition.js'
import {parsePolicy, type Policy} from './policy-document.js'
import {Propagated} from './propagated.js'

/** What permissions are attached to a user or role. */
export interface Grants {
  /** By name. */
  readonly inline: ReadonlyMap<string, Policy>
  /** ARNs of managed policies. */
  readonly attached: readonly string[]
  /** ARN of a managed policy. */
  readonly boundary: string | undefined
}

interface Identity {
  readonly account: string
  readonly name: string
  readonly path: string
  /** `AIDA…` or `AROA…` */
  readonly id: string
  readonly arn: string
  /** Milliseconds since 1970. */
  readonly created: number
  readonly tags: Map<string, string>
  readonly grants: Propagated<Grants>
}

export interface User extends Identity {
  readonly kind: 'user'
  /** By access key id. */
  readonly accessKeys: Map<string, Secret>
}

export interface Role extends Identity {
  readonly kind: 'role'
  readonly trust: Propagated<Policy>
  maxSessionSeconds: number
}

export interface PolicyVersion {
  /** `v1` */
  readonly id: string
  readonly policy: Policy
  readonly created: number
}

export interface ManagedPolicy {
  readonly name: string
  readonly path: string
  readonly id: string
  readonly arn: string
  readonly created: number
  readonly description: string | undefined
  readonly tags: Map<string, string>
  /** Oldest first. */
  readonly versions: PolicyVersion[]
  /** Versions made so far; numbers are never used twice. */
  made: number
  readonly defaultVersion: Propagated<PolicyVersion>
}

export interface Identities {
  readonly users: Map<string, User>
  readonly roles: Map<string, Role>
  /** By ARN. */
  readonly policies: Map<string, ManagedPolicy>
}

const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const idLetters = 16

/** An id as AWS makes them: a prefix that says of what, and random letters. */
export function newId(prefix: string): string {
  return prefix + Array.from(randomBytes(idLetters), (byte) => base32[byte % base32.length]).join('')
}

/** 40 characters, like AWS's. */
export const newSecretKey = (): Secret => new Secret(randomBytes(30).toString('base64'))

export const sourceText = (source: PolicySource): string =>
  typeof source === 'string' ? source : JSON.stringify(source)

/** @throws PosternError INVALID when a document is no policy. */
export function createIdentities(account: AccountDefinition, now: number): Identities {
  const policies = (account.policies ?? []).map((definition) => createPolicy(account.id, definition, now))
  return {
    users: new Map((account.users ?? []).map((user) => [user.name, createUser(account.id, user, now)])),
    roles: new Map((account.roles ?? []).map((role) => [role.name, createRole(account.id, role, now)])),
    policies: new Map(policies.map((policy) => [policy.arn, policy])),
  }
}

function createUser(account: string, definition: UserDefinition, now: number): User {
  const keys = definition.accessKeys ?? [{id: newId('AKIA'), secret: newSecretKey().reveal()}]
  const accessKeys = new Map(keys.map(({id, secret}) => [id, new Secret(secret)]))
  return {kind: 'user', ...createIdentity(account, 'user', definition, now), accessKeys}
}

function createRole(account: string, definition: RoleDefinition, now: number): Role {
  const trust = new Propagated(parsePolicy(sourceText(definition.trust), 'trust'))
  const {maxSessionSeconds = 3600} = definition
  return {kind: 'role', ...createIdentity(account, 'role', definition, now), trust, maxSessionSeconds}
}

function createIdentity(
  account: string,
  kind: 'user' | 'role',
  {name, path = '/', tags = {}, inline = {}, attached = [], boundary}: UserDefinition,
  now: number,
): Identity {
  const policyArn = (policy: string): string =>
    policy.startsWith('arn:') ? policy : `arn:aws:iam::${account}:policy/${policy}`
  return {
    account,
    name,
    path,
    id: newId(kind === 'user' ? 'AIDA' : 'AROA'),
    arn: `arn:aws:iam::${account}:${kind}${path}${name}`,
    created: now,
    tags: new Map(Object.entries(tags)),
    grants: new Propagated({
      inline: new Map(Object.entries(inline).map(([policy, source]) => [policy, parsePolicy(sourceText(source))])),
      attached: attached.map(policyArn),
      boundary: boundary === undefined ? undefined : policyArn(boundary),
    }),
  }
}

/** A managed policy with its first version. @throws PosternError INVALID when the document is no policy. */
export function createPolicy(account: string, definition: ManagedPolicyDefinition, now: number): ManagedPolicy {
  const {name, path = '/', description, tags = {}, document} = definition
  const version = {id: 'v1', policy: parsePolicy(sourceText(document)), created: now}
  return {
    name,
    path,
    id: newId('ANPA'),
    arn: `arn:aws:iam::${account}:policy${path}${name}`,
    created: now,
    description,
    tags: new Map(Object.entries(tags)),
    versions: [version],
    made: 1,
    defaultVersion: new Propagated(version),
  }
}
