import {describe, expect, it} from '@jest/globals'
import {parseResource} from '../../../src/lib/resources/resource.js'
import {maskToken, withoutSecret} from '../../../src/lib/resources/token-name.js'
import type {Token} from '../../../src/lib/resources/token.js'

describe('a masked token', () => {
  it('shows its last quarter, at most eight characters', () => {
    expect(maskToken('0123456789abcdef0123456789abcdef')).toBe(`${'*'.repeat(24)}89abcdef`)
    expect(maskToken('0123456789abcdef')).toBe(`${'*'.repeat(12)}cdef`)
    expect(maskToken('abc')).toBe('***')
    expect(maskToken('x'.repeat(64))).toBe('*'.repeat(56) + 'x'.repeat(8))
  })

  it('is one whose name is its secret', () => {
    const token = (name: string, spec: object): Token =>
      parseResource('token', {kind: 'token', version: 'v2', metadata: {name}, spec: {roles: ['Db'], ...spec}})
    const secret = '0123456789abcdef'
    expect(withoutSecret(token(secret, {})).metadata.name).toBe(maskToken(secret))
    const byIam = {join_method: 'iam', allow: [{aws_account: '123456789012'}]}
    expect(withoutSecret(token('aws-agents', byIam)).metadata.name).toBe('aws-agents')
  })
})
