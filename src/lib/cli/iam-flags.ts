import * as Flags from '@oclif/core/flags'
import {iamDatabaseTypes, type IamDatabaseType} from '../aws/iam-policy.js'
import type {AccessNeed} from '../aws/iam-plan.js'
import {PosternError} from '../core/errors.js'
import {list} from './flags.js'

/** What the permissions are for. */
export const iamNeedsFlags = {
  types: Flags.option({
    ...list,
    char: 'r',
    options: iamDatabaseTypes,
    description: 'types of database that the agent is to reach',
    helpValue: 'TYPE,',
  })(),
  'assumes-roles': Flags.string({
    ...list,
    description: 'roles that the agent assumes: names or ARNs',
    helpValue: 'ROLE,',
  }),
}

export const changeFlags = {
  confirm: Flags.boolean({default: false, description: 'make the changes without asking'}),
  wait: Flags.boolean({
    allowNo: true,
    default: true,
    description: 'wait until AWS applies the changes',
  }),
}

/** IAM User Guide, "IAM and AWS STS quotas": names of policies. */
const policyNameForm = /^[\w+=,.@-]{1,128}$/

/** The name of a policy; a flag that takes anything else is a mistake of usage. */
export const policyName = Flags.custom({
  parse: (text) => {
    if (policyNameForm.test(text)) return Promise.resolve(text)
    throw new PosternError('USAGE', `"${text}" is not the name of a policy.`, {
      hint: 'A name has up to 128 letters, digits and +=,.@_-.',
    })
  },
  helpValue: 'NAME',
})

export interface NeedsChoice {
  readonly types?: readonly IamDatabaseType[] | undefined
  readonly 'assumes-roles'?: readonly string[] | undefined
}

/** The values of `iamNeedsFlags`. @throws PosternError USAGE when there are none */
export function readNeeds({types = [], 'assumes-roles': assumesRoles = []}: NeedsChoice): {
  readonly needs: readonly AccessNeed[]
  readonly assumesRoles: readonly string[]
} {
  if (types.length > 0 || assumesRoles.length > 0) return {needs: [{types}], assumesRoles}
  throw new PosternError('USAGE', 'Neither --types nor --assumes-roles says what the policy is for.', {
    hint: `The types are ${iamDatabaseTypes.join(', ')}.`,
  })
}
