import {describe, expect, it} from '@jest/globals'
import {evaluate, evaluateTrust, type Caller} from '../../../src/lib/sandbox/policy.js'
import {parsePolicy} from '../../../src/lib/sandbox/policy-document.js'
import {matchesArn, matchesGlob} from '../../../src/lib/core/glob.js'

type Json = Readonly<Record<string, unknown>>

const policy = (...Statement: readonly Json[]): ReturnType<typeof parsePolicy> =>
  parsePolicy(JSON.stringify({Version: '2012-10-17', Statement}))

interface Asked {
  readonly action?: string
  readonly resource?: string
  readonly context?: Readonly<Record<string, string | readonly string[]>>
}

function request({
  action = 'rds-db:connect',
  resource = 'arn:aws:rds-db:us-west-1:111111111111:dbuser:db-A/alice',
  context = {},
}: Asked = {}) {
  const facts = Object.entries(context).map(
    ([key, value]) => [key, typeof value === 'string' ? [value] : value] as const,
  )
  return {action, resource, context: new Map(facts)}
}

const allow = {Effect: 'Allow', Action: 'rds-db:connect', Resource: '*'}

describe('patterns', () => {
  it.each([
    ['*', '', true],
    ['a*c', 'abbbc', true],
    ['a*c', 'abbb', false],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['*a*b*', 'xxaxxbxx', true],
    ['a.c', 'abc', false],
    ['', 'a', false],
  ])('%j against %j', (pattern, text, expected) => {
    expect(matchesGlob(pattern, text)).toBe(expected)
  })

  it('take no exponential time', () => {
    expect(matchesGlob(`${'*a'.repeat(30)}b`, 'a'.repeat(5000))).toBe(false)
  })

  it('of ARNs do not reach over a colon, but over slashes and the colons of the resource', () => {
    const arn = 'arn:aws:rds:us-west-1:111111111111:cluster:a/b'
    expect(matchesArn('arn:aws:rds:*:111111111111:*', arn)).toBe(true)
    expect(matchesArn('arn:aws:*:111111111111:cluster:a/b', arn)).toBe(false)
    expect(matchesArn('arn:aws:rds:*:*:db:*', arn)).toBe(false)
  })
})

describe('a permissions policy', () => {
  it.each<[string, Json, Asked, string]>([
    ['allows what it names', allow, {}, 'allow'],
    ['is silent about other actions', allow, {action: 'rds:DescribeDBInstances'}, 'silent'],
    ['takes no notice of the case of actions', {...allow, Action: 'RDS-DB:Connect'}, {}, 'allow'],
    ['knows wildcards in actions', {...allow, Action: ['sts:*', 'rds-db:*']}, {}, 'allow'],
    ['knows wildcards in resources', {...allow, Resource: 'arn:aws:rds-db:*:111111111111:dbuser:db-A/*'}, {}, 'allow'],
    ['minds the case of resources', {...allow, Resource: 'arn:aws:rds-db:*:*:dbuser:db-a/*'}, {}, 'silent'],
    ['keeps to the resource', {...allow, Resource: 'arn:aws:rds-db:*:*:dbuser:db-B/*'}, {}, 'silent'],
    ['denies', {...allow, Effect: 'Deny'}, {}, 'deny'],
    ['knows NotAction', {Effect: 'Allow', NotAction: 'iam:*', Resource: '*'}, {}, 'allow'],
    ['excepts what NotAction names', {Effect: 'Allow', NotAction: 'rds-db:*', Resource: '*'}, {}, 'silent'],
    ['knows NotResource', {Effect: 'Deny', Action: '*', NotResource: 'arn:aws:rds-db:*:*:dbuser:db-B/*'}, {}, 'deny'],
    [
      'replaces variables',
      {...allow, Resource: 'arn:aws:rds-db:*:*:dbuser:db-A/${aws:username}'},
      {context: {'aws:username': 'alice'}},
      'allow',
    ],
    [
      'matches nothing with an unknown variable',
      {...allow, Resource: 'arn:aws:rds-db:*:*:dbuser:db-A/*${aws:nothing}'},
      {},
      'silent',
    ],
  ])('%s', (_, statement, asked, expected) => {
    expect(evaluate([policy(statement)], request(asked))).toBe(expected)
  })

  it('is overruled by a deny in any other', () => {
    expect(evaluate([policy(allow), policy({...allow, Effect: 'Deny'})], request())).toBe('deny')
  })
})

describe('a condition', () => {
  it.each<[string, Json, Asked['context'], boolean]>([
    ['StringEquals', {StringEquals: {'sts:ExternalId': 'x'}}, {'sts:externalid': 'x'}, true],
    ['StringEquals, another value', {StringEquals: {'sts:ExternalId': 'x'}}, {'sts:externalid': 'y'}, false],
    ['StringEquals, no value', {StringEquals: {'sts:ExternalId': 'x'}}, {}, false],
    ['StringEquals, one of several', {StringEquals: {'aws:x': ['a', 'b']}}, {'aws:x': 'b'}, true],
    ['StringEqualsIfExists, no value', {StringEqualsIfExists: {'aws:x': 'a'}}, {}, true],
    ['StringNotEquals', {StringNotEquals: {'aws:x': ['a', 'b']}}, {'aws:x': 'b'}, false],
    ['StringNotEquals, no value', {StringNotEquals: {'aws:x': 'a'}}, {}, true],
    ['StringLike', {StringLike: {'aws:userid': 'AROA*:i-*'}}, {'aws:userid': 'AROAX:i-1'}, true],
    ['StringEqualsIgnoreCase', {StringEqualsIgnoreCase: {'aws:x': 'A'}}, {'aws:x': 'a'}, true],
    [
      'ArnLike',
      {ArnLike: {'aws:PrincipalArn': 'arn:aws:iam::*:role/a*'}},
      {'aws:principalarn': 'arn:aws:iam::1:role/ab'},
      true,
    ],
    ['Bool', {Bool: {'aws:SecureTransport': false}}, {'aws:securetransport': 'true'}, false],
    ['Null, absent', {Null: {'sts:ExternalId': true}}, {}, true],
    ['Null, present', {Null: {'sts:ExternalId': 'true'}}, {'sts:externalid': 'x'}, false],
    [
      'NumericLessThanEquals',
      {NumericLessThanEquals: {'redshift:DurationSeconds': 900}},
      {'redshift:durationseconds': '900'},
      true,
    ],
    ['ForAllValues', {'ForAllValues:StringEquals': {'aws:TagKeys': ['a', 'b']}}, {'aws:tagkeys': ['a', 'c']}, false],
    ['ForAllValues, no value', {'ForAllValues:StringEquals': {'aws:TagKeys': 'a'}}, {}, true],
    ['ForAnyValue', {'ForAnyValue:StringEquals': {'aws:TagKeys': ['a', 'b']}}, {'aws:tagkeys': ['a', 'c']}, true],
    ['two operators, one unmet', {StringEquals: {'aws:x': 'a'}, Null: {'aws:x': true}}, {'aws:x': 'a'}, false],
  ])('%s', (_, Condition, context = {}, met) => {
    expect(evaluate([policy({...allow, Condition})], request({context}))).toBe(met ? 'allow' : 'silent')
  })
})

describe('a trust policy', () => {
  const account = '111111111111'
  const roleArn = `arn:aws:iam::${account}:role/agent`
  const session: Caller = {kind: 'AWS', name: `arn:aws:sts::${account}:assumed-role/agent/i-1`, roleArn, account}
  const asks = {action: 'sts:AssumeRole', resource: 'arn:aws:iam::222222222222:role/db', context: new Map()}
  const trust = (Principal: unknown, Effect = 'Allow'): ReturnType<typeof parsePolicy> =>
    parsePolicy(JSON.stringify({Statement: [{Effect, Principal, Action: 'sts:AssumeRole'}]}), 'trust')

  it.each<[string, unknown, string]>([
    ['the session', {AWS: session.name}, 'caller'],
    ['its role', {AWS: roleArn}, 'role'],
    ['its account as root', {AWS: `arn:aws:iam::${account}:root`}, 'account'],
    ['its account as a number', {AWS: ['222222222222', account]}, 'account'],
    ['everybody', '*', 'role'],
    ['everybody in AWS', {AWS: '*'}, 'role'],
    ['another role', {AWS: `${roleArn}2`}, 'silent'],
    ['a service', {Service: 'ec2.amazonaws.com'}, 'silent'],
  ])('that names %s', (_, principal, expected) => {
    expect(evaluateTrust(trust(principal), asks, session)).toBe(expected)
  })

  it('denies whom it names so', () => {
    expect(evaluateTrust(trust({AWS: roleArn}, 'Deny'), asks, session)).toBe('deny')
  })

  it('lets in a service', () => {
    expect(
      evaluateTrust(trust({Service: 'ec2.amazonaws.com'}), asks, {kind: 'Service', name: 'ec2.amazonaws.com'}),
    ).toBe('caller')
  })
})

describe('a document is refused', () => {
  it.each([
    ['that is no JSON', '{'],
    ['with an unknown version', '{"Version":"2020-01-01","Statement":[]}'],
    ['without an effect', '{"Statement":{"Action":"*","Resource":"*"}}'],
    ['without an action', '{"Statement":{"Effect":"Allow","Resource":"*"}}'],
    ['without a resource', '{"Statement":{"Effect":"Allow","Action":"*"}}'],
    ['with action and NotAction', '{"Statement":{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}}'],
    [
      'with a principal among permissions',
      '{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}}',
    ],
    [
      'with an operator that nobody would check',
      '{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}}',
    ],
  ])('%s', (_, text) => {
    expect(() => parsePolicy(text)).toThrow(expect.objectContaining({code: 'INVALID'}))
  })

  it('as a trust policy, when it names nobody', () => {
    expect(() => parsePolicy('{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole"}}', 'trust')).toThrow(
      'principals',
    )
  })
})
