/** What an answer of IAM about a permission means for a connection, and what to do about it. */
import {splitArn} from '../core/glob.js'
import {failed, passed, skipped, type CheckName, type Finding} from '../resources/finding.js'
import type {Denial} from './denial.js'
import type {Permission, PermissionQuestion, RecentChange} from './permission.js'

/**
 * @param check what the permission is needed for
 * @param aliases what else the database may be taken for: its name, and the resource ids of its instances
 */
export function permissionFinding(
  check: CheckName,
  permission: Permission,
  question: PermissionQuestion,
  aliases: readonly string[] = [],
): Finding {
  const {owner, action, resource} = question
  const who = owner.arn
  switch (permission.kind) {
    case 'allowed':
      return passed(check, `${who} may ${action} on ${resource}.`)
    case 'changing':
      return failed(
        check,
        'policy-changed',
        `${written(permission.changed, question)}, but is not in effect yet.`,
        wait,
      )
    case 'missing':
      return missing(check, permission.others, question, aliases)
    case 'boundary': {
      const policy = permission.policy === undefined ? '' : ` "${permission.policy}"`
      const cause = `The permissions boundary${policy} of ${who} does not allow ${action} on ${resource}.`
      return failed(check, 'boundary', cause, `Allow ${action} on ${resource} in the permissions boundary as well.`)
    }
    case 'denied': {
      const policy = permission.policy === undefined ? 'A policy' : `The policy "${permission.policy}"`
      const cause = `${policy} of ${who} denies ${action} on ${resource}.`
      return failed(check, 'explicit-deny', cause, 'Take the Deny out of the policy, or narrow it.')
    }
    case 'organization': {
      const cause = `A service control policy of the organization does not allow ${who} ${action} on ${resource}.`
      return failed(check, 'organization', cause, `Ask the administrators of the organization to allow ${action}.`)
    }
    case 'unknown':
      return skipped(check, `IAM cannot be asked: ${permission.reason}.`)
  }
}

/** What a denial means in which AWS itself says which policy is at fault; undefined when it does not. */
export function denialFinding(check: CheckName, {principal, action, resource, layer, isExplicit}: Denial): Finding {
  const owner = {kind: 'other' as const, name: principal, arn: principal}
  const question = {owner, action, resource}
  if (isExplicit) return permissionFinding(check, {kind: 'denied', policy: undefined}, question)
  switch (layer) {
    case 'boundary':
      return permissionFinding(check, {kind: 'boundary', policy: undefined}, question)
    case 'organization':
      return permissionFinding(check, {kind: 'organization'}, question)
    case 'session': {
      const cause = `The session of ${principal} was narrowed by a session policy that does not allow ${action} on ${resource}.`
      return failed(
        check,
        'session-policy',
        cause,
        `Assume the role without the session policy, or allow ${action} in it.`,
      )
    }
    case 'identity':
    case 'resource':
    case 'unsaid':
      return permissionFinding(check, {kind: 'missing', others: undefined}, question)
  }
}

export const wait = 'Try again in a minute; nothing else is to be done.'

export function written(changed: RecentChange | undefined, {owner, action, resource}: PermissionQuestion): string {
  return changed === undefined
    ? `${owner.arn} has a policy that allows ${action} on ${resource}`
    : `The policy "${changed.policy}" of ${owner.arn}, which allows ${action} on ${resource}, was changed at ${new Date(changed.at).toISOString()}`
}

function missing(
  check: CheckName,
  others: readonly string[] = [],
  question: PermissionQuestion,
  aliases: readonly string[],
): Finding {
  const {owner, action, resource} = question
  for (const other of others) {
    const mistake = mistakeOf(other, resource, aliases)
    if (mistake === undefined) continue
    const cause = `A policy of ${owner.arn} allows ${action} on ${other}, but this sign-in is on ${resource}: ${mistake}.`
    const problem = mistake === otherUser ? 'policy-missing' : 'wrong-resource-id'
    return failed(check, problem, cause, `Write ${resource} as Resource of the policy.`)
  }
  const allow = `Give ${owner.arn} a policy that allows ${action} on ${resource}, for example with \`postern db configure bootstrap\`.`
  return failed(check, 'policy-missing', `No policy of ${owner.arn} allows ${action} on ${resource}.`, allow)
}

const otherUser = 'it is for another database user'

/** What is wrong with an ARN of rds-db that was meant to be the one that is needed; undefined for others. */
function mistakeOf(other: string, needed: string, aliases: readonly string[]): string | undefined {
  const [, , service, region, account, rest = ''] = splitArn(other)
  const [, , neededService, neededRegion, neededAccount, neededRest = ''] = splitArn(needed)
  if (service !== 'rds-db' || neededService !== 'rds-db') return undefined
  const [id = ''] = rest.replace(/^dbuser:/, '').split('/')
  const [neededId = ''] = neededRest.replace(/^dbuser:/, '').split('/')
  if (id === neededId || id === '*') {
    if (region !== neededRegion && region !== '*') return 'it is for another region'
    return account !== neededAccount && account !== '*' ? 'it is for another account' : otherUser
  }
  if (!aliases.includes(id)) return undefined
  return id.startsWith('db-')
    ? 'it has the resource id of an instance where Aurora needs that of the cluster'
    : 'it has a name where the resource id belongs'
}
