/** IAM's quotas on policies (IAM User Guide, "IAM and AWS STS quotas"): characters without white space. */
import {Fault} from './fault.js'
import type {Grants} from './identities.js'
import type {Policy} from './policy-document.js'

const inlineCharacters = {user: 2048, role: 10_240} as const
const managedCharacters = 6144
export const maximumVersions = 5
const maximumAttached = 10

/** As GetAccountSummary tells them (IAM API Reference). */
export const summaryQuotas = {
  UserPolicySizeQuota: inlineCharacters.user,
  RolePolicySizeQuota: inlineCharacters.role,
  PolicySizeQuota: managedCharacters,
  VersionsPerPolicyQuota: maximumVersions,
  AttachedPoliciesPerUserQuota: maximumAttached,
  AttachedPoliciesPerRoleQuota: maximumAttached,
} as const

const sizeOf = ({text}: Policy): number => text.replace(/\s/g, '').length

const limitExceeded = (message: string): Fault => new Fault('LimitExceeded', 409, message)

/** All inline policies of an identity count together. @throws Fault LimitExceeded */
export function checkInlineQuota(kind: 'user' | 'role', name: string, inline: Grants['inline']): void {
  const size = Array.from(inline.values(), sizeOf).reduce((total, one) => total + one, 0)
  const limit = inlineCharacters[kind]
  if (size > limit) throw limitExceeded(`Maximum policy size of ${limit} bytes exceeded for ${kind} ${name}`)
}

/** @throws Fault LimitExceeded */
export function checkManagedQuota(policy: Policy): void {
  if (sizeOf(policy) > managedCharacters)
    throw limitExceeded(`Cannot exceed quota for PolicySize: ${managedCharacters}`)
}

/** @throws Fault LimitExceeded */
export function checkVersionQuota(versions: number): void {
  if (versions < maximumVersions) return
  throw limitExceeded(
    `A managed policy can have up to ${maximumVersions} versions. Before you create a new version, you must delete an existing version.`,
  )
}

/** @throws Fault LimitExceeded */
export function checkAttachedQuota(kind: 'user' | 'role', attached: number): void {
  const quota = kind === 'user' ? 'PoliciesPerUser' : 'PoliciesPerRole'
  if (attached > maximumAttached) throw limitExceeded(`Cannot exceed quota for ${quota}: ${maximumAttached}`)
}
