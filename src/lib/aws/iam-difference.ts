/** What of a plan AWS does not have yet. Asks nobody; pure. */
import {isDeepStrictEqual} from 'node:util'
import {PosternError} from '../core/errors.js'
import {charactersOf, policyLimits} from './iam-size.js'
import type {IamAction, TargetPlan} from './iam-plan.js'
import type {PolicyChanges, PolicyDocument} from './iam-policy.js'

/** What AWS has of a plan. */
export interface Standing {
  /** Policies of ours by ARN; the document is undefined where it may not be read. */
  readonly policies: ReadonlyMap<string, PolicyDocument | undefined>
  /** ARNs of what the target has attached; undefined where that may not be read. */
  readonly attached: readonly string[] | undefined
  /** How many managed policies the target may have. */
  readonly attachable: number
}

/**
 * The steps that are left, in the order in which they are taken.
 * @throws PosternError INVALID when the target would get more policies than it may have
 */
export function remainingSteps(plan: TargetPlan, standing: Standing): TargetPlan {
  const {identity, actions} = plan
  const wanted = actions.flatMap((action) => (action.kind === 'attach-policy' ? action.policyArns : []))
  const surplus = surplusOf(wanted, standing)
  checkCount(plan, wanted, surplus, standing)
  const creations: IamAction[] = []
  const updates: IamAction[] = []
  for (const action of actions) {
    if (action.kind !== 'create-policy') continue
    if (!standing.policies.has(action.policyArn)) creations.push(action)
    else {
      const before = standing.policies.get(action.policyArn)
      if (before && isSamePolicy(before, action.document)) continue
      updates.push({...action, kind: 'update-policy', changes: before && changesOf(before, action.document)})
    }
  }
  const missing = wanted.filter((arn) => !standing.attached?.includes(arn))
  const attachment: IamAction[] = missing.length > 0 ? [attach(plan, missing)] : []
  const removals = surplus.map((policyArn): IamAction => ({
    kind: 'remove-policy',
    account: identity.account,
    policyArn,
    target: identity,
  }))
  // What moves into a new part stays allowed meanwhile; and nobody new gets a document that is about to change.
  const isNew = missing.every((arn) => !standing.policies.has(arn))
  const changes = isNew ? [...attachment, ...updates] : [...updates, ...attachment]
  return {...plan, actions: [...creations, ...changes, ...removals]}
}

const attach = ({identity}: TargetPlan, policyArns: readonly string[]): IamAction => ({
  kind: 'attach-policy',
  account: identity.account,
  policyArns,
  target: identity,
})

/** Further parts of our policy from a time when it had more of them. */
function surplusOf(wanted: readonly string[], {attached = [], policies}: Standing): readonly string[] {
  return attached.filter((arn) => policies.has(arn) && !wanted.includes(arn))
}

function checkCount(
  {identity}: TargetPlan,
  wanted: readonly string[],
  surplus: readonly string[],
  {attached = [], attachable}: Standing,
): void {
  const after = new Set([...attached, ...wanted]).size - surplus.length
  // Whoever has too many already, and none of ours to come, is not made worse.
  if (after <= attachable || wanted.every((arn) => attached.includes(arn))) return
  throw new PosternError(
    'INVALID',
    `${identity.arn} would have ${after} managed policies, and AWS allows ${attachable}; nothing was changed.`,
    {
      hint: [
        'Reach some of the databases through roles of their own (assume_role_arn): each has its own policies.',
        'Or ask for permissions on all databases: --scope all. Or have AWS raise the quota of managed policies, to at most 20.',
      ],
    },
  )
}

/** Whether two documents say the same, whatever the order. */
export const isSamePolicy = (one: PolicyDocument, other: PolicyDocument): boolean =>
  isDeepStrictEqual(canonical(one), canonical(other))

function canonical({Statement}: PolicyDocument): readonly string[] {
  const statements = Array.isArray(Statement) ? Statement : [Statement]
  return statements
    .map((statement: object) =>
      JSON.stringify(
        Object.entries(statement)
          .map(([key, value]: [string, unknown]) => [key, isWords(value) ? [value].flat().sort() : value])
          .sort(([one], [other]) => String(one).localeCompare(String(other))),
      ),
    )
    .sort()
}

const isWords = (value: unknown): value is string | string[] =>
  typeof value === 'string' || (Array.isArray(value) && value.every((item) => typeof item === 'string'))

/** What one document allows and the other does not. */
export function changesOf(before: PolicyDocument, after: PolicyDocument): PolicyChanges {
  const [old, wanted] = [permissionsOf(before), permissionsOf(after)]
  return {
    added: [...wanted].filter((permission) => !old.has(permission)),
    removed: [...old].filter((permission) => !wanted.has(permission)),
  }
}

function permissionsOf({Statement}: PolicyDocument): Set<string> {
  return new Set(
    [Statement]
      .flat()
      .flatMap(({Effect, Action = [], Resource = []}) =>
        [Action]
          .flat()
          .flatMap((action) =>
            [Resource]
              .flat()
              .map((resource) => `${(Effect as string) === 'Allow' ? '' : `${Effect} `}${action} on ${resource}`),
          ),
      ),
  )
}

/** Why the permissions are in several policies; undefined when one holds them. */
export function describeSplit({actions}: TargetPlan): string | undefined {
  const documents = actions.flatMap((action) => (action.kind === 'create-policy' ? [action.document] : []))
  if (documents.length < 2) return undefined
  const total = documents.reduce((sum, document) => sum + charactersOf(document), 0)
  const count = (characters: number): string => characters.toLocaleString('en-US')
  return `The permissions have ${count(total)} characters. AWS allows ${count(policyLimits.managed)} in a managed policy, and in inline policies ${count(policyLimits.role)} for a role and ${count(policyLimits.user)} for a user: they are in ${documents.length} managed policies.`
}
