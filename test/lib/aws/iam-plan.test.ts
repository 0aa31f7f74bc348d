import {describe, expect, it} from '@jest/globals'
import {parseIdentity} from '../../../src/lib/aws/iam-identity.js'
import {planEverybody, planManually, planOne, type AccessNeed, type WholePlan} from '../../../src/lib/aws/iam-plan.js'

const role = (name: string, account = '123456789012'): string => `arn:aws:iam::${account}:role/${name}`
const operator = parseIdentity('arn:aws:iam::123456789012:user/operator')
const ask = (needs: readonly AccessNeed[], assumesRoles: readonly string[] = []) => ({
  policyName: 'P',
  needs,
  assumesRoles,
})

/** Who gets which actions on what. */
function summary({plans, skipped}: WholePlan): unknown {
  const given = plans.map(({identity, actions}) => [
    identity.arn,
    actions.flatMap((action) =>
      action.kind === 'create-policy' ? action.document.Statement.map(({Action, Resource}) => [Action, Resource]) : [],
    ),
  ])
  return {given, skipped: skipped.map(({arn}) => arn)}
}

const redshift: [readonly string[], string] = [['redshift:DescribeClusters', 'redshift:GetClusterCredentials'], '*']
const viaA: AccessNeed = {types: ['redshift'], assumeRoleArn: role('a'), finds: true}
const viaB: AccessNeed = {types: ['redshift-serverless'], assumeRoleArn: role('b'), finds: true}
const direct: AccessNeed = {types: ['redshift']}

describe('the caller', () => {
  it('gets what is reached without a role, and may assume the roles', () => {
    const named: AccessNeed = {types: ['redshift'], assumeRoleArn: role('named')}
    expect(summary(planEverybody(operator, ask([direct, named], ['extra'])))).toEqual({
      given: [[operator.arn, [redshift, ['sts:AssumeRole', [role('named'), role('extra')]]]]],
      skipped: [],
    })
  })

  it('comes first; a role of the same account that needs another document under the same name waits', () => {
    expect(summary(planEverybody(operator, ask([viaA, viaB])))).toEqual({
      given: [[operator.arn, [['sts:AssumeRole', [role('a'), role('b')]]]]],
      skipped: [role('a'), role('b')],
    })
  })

  it('leaves a role of another account its own policy', () => {
    const abroad = {...viaA, assumeRoleArn: role('a', '210987654321'), externalId: 'x-1'}
    const plan = planEverybody(operator, ask([abroad]))
    expect(summary(plan)).toEqual({
      given: [
        [operator.arn, [['sts:AssumeRole', role('a', '210987654321')]]],
        [role('a', '210987654321'), [redshift]],
      ],
      skipped: [],
    })
    expect(plan.plans[1]).toMatchObject({through: {externalId: 'x-1'}})
  })

  it('gets nothing when nothing is needed', () => {
    expect(planEverybody(operator, ask([{types: []}]))).toEqual({plans: [], skipped: []})
  })
})

describe('a role that was chosen', () => {
  it('gets what is reached through it, and no other role', () => {
    for (const target of [role('a'), 'a']) {
      expect(summary(planOne({role: target}, operator, ask([viaA, viaB, direct])))).toEqual({
        given: [[role('a'), [redshift]]],
        skipped: [],
      })
    }
  })

  it('that no database names is treated as the agent', () => {
    expect(summary(planOne({role: '/services/agent'}, operator, ask([viaA, direct])))).toEqual({
      given: [[role('services/agent'), [redshift, ['sts:AssumeRole', role('a')]]]],
      skipped: [],
    })
  })

  it('in another account is reached through itself, or not at all', () => {
    const abroad = role('a', '210987654321')
    const need = {...viaA, assumeRoleArn: abroad}
    expect(planOne({role: abroad}, operator, ask([need])).plans[0]).toMatchObject({through: need})
    expect(() => planOne({role: abroad}, operator, ask([direct]))).toThrow('is in account 210987654321')
  })

  it('needs its whole ARN when nobody is asked and roles are assumed', () => {
    expect(() => planManually({role: 'agent'}, ask([viaA]))).toThrow('cannot be told without AWS')
    expect(summary(planManually({role: role('agent')}, ask([viaA])))).toMatchObject({
      given: [[role('agent'), [['sts:AssumeRole', role('a')]]]],
    })
  })
})

describe('an identity', () => {
  it.each([
    ['arn:aws:iam::123456789012:user/path/to/alice', 'user', 'alice'],
    ['arn:aws-cn:iam::123456789012:role/r', 'role', 'r'],
    ['arn:aws:sts::123456789012:assumed-role/r/i-0123', 'assumed-role', 'r'],
    ['arn:aws:sts::123456789012:federated-user/x', 'other', 'x'],
    ['arn:aws:iam::123456789012:root', 'other', 'root'],
  ])('%s is a %s named %s', (arn, kind, name) => {
    expect(parseIdentity(arn)).toMatchObject({kind, name, account: '123456789012'})
  })

  it.each(['', 'arn:aws:iam::1:role/x', 'arn:aws:s3:::bucket', 'arn:aws:iam::123456789012:role/a b'])(
    'is not %j',
    (arn) => {
      expect(() => parseIdentity(arn)).toThrow('is not the ARN of an IAM identity')
    },
  )
})
