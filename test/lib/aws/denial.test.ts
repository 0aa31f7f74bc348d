import {describe, expect, it} from '@jest/globals'
import {readDenial} from '../../../src/lib/aws/denial.js'
import {denialFinding} from '../../../src/lib/aws/permission-text.js'

/** Texts of the IAM User Guide, "Access denied error message formats". */
const user = 'User: arn:aws:sts::111111111111:assumed-role/agent/i-0123456789abcdef0'
const refusal = `${user} is not authorized to perform: redshift:GetClusterCredentials on resource: arn:aws:redshift:us-west-1:111111111111:dbuser:orders/alice`

const problemOf = (message: string): string | undefined => {
  const denial = readDenial(new Error(message))
  const finding = denial && denialFinding('password', denial)
  return finding?.outcome === 'fail' ? finding.diagnosis.problem : undefined
}

describe('AWS itself says which policy is at fault (E07)', () => {
  it.each([
    ['because no identity-based policy allows the redshift:GetClusterCredentials action', 'policy-missing'],
    ['because no permissions boundary allows the redshift:GetClusterCredentials action', 'boundary'],
    ['because no session policy allows the redshift:GetClusterCredentials action', 'session-policy'],
    ['because no service control policy allows the redshift:GetClusterCredentials action', 'organization'],
    ['with an explicit deny in an identity-based policy', 'explicit-deny'],
    ['with an explicit deny in a permissions boundary', 'explicit-deny'],
  ])('%s', (words, problem) => {
    expect(problemOf(`${refusal} ${words}.`)).toBe(problem)
  })

  it('or leaves it open, as STS does', () => {
    const denial = readDenial(
      new Error(`${user} is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::222222222222:role/db`),
    )
    expect(denial).toEqual({
      principal: 'arn:aws:sts::111111111111:assumed-role/agent/i-0123456789abcdef0',
      action: 'sts:AssumeRole',
      resource: 'arn:aws:iam::222222222222:role/db',
      layer: 'unsaid',
      isExplicit: false,
    })
  })

  it('and other errors are no denials', () => {
    expect(readDenial(new Error('Rate exceeded'))).toBeUndefined()
  })
})
