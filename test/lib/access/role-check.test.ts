import {describe, expect, it} from '@jest/globals'
import {checkRole} from '../../../src/lib/access/role-check.js'
import {everything, role} from './asked.js'

describe('checkRole', () => {
  it.each<object>([
    {},
    {allow: everything},
    {options: {max_session_ttl: '30h0m0s'}},
    {allow: {db_users: ['{{internal.db_users}}', 'dev-{{external.team}}'], db_roles: ['reader']}},
    {allow: {db_labels: {team: ['^{{external.team}}-.*$', '{{external.team}}', '^sre-.*$', 'a*']}}},
    {deny: {db_roles: ['*'], db_users: ['*']}},
    // Not ours to check: it opens nothing here.
    {allow: {logins: ['{{email.local(external.email)}}'], node_labels: {'*': '*'}}},
  ])('takes %j', (spec) => {
    expect(() => {
      checkRole(role('fine', spec))
    }).not.toThrow()
  })

  it.each<[object, string]>([
    [{allow: {db_users: ['{{internal.db_user}}']}}, 'spec.allow.db_users'],
    [{deny: {db_users: ['{{internal.db_user}}']}}, 'spec.deny.db_users'],
    [{deny: {db_roles: ['{{']}}, 'spec.deny.db_roles'],
    [{allow: {db_labels: {env: ['dev', '^(a{1000}){1000}$']}}}, 'spec.allow.db_labels.env'],
    [{allow: {db_labels: {env: '^{{external.a}}($'}}}, 'spec.allow.db_labels.env'],
  ])('refuses %j and says where', (spec, place) => {
    expect(() => {
      checkRole(role('broken', spec))
    }).toThrow(expect.objectContaining({code: 'INVALID', message: expect.stringContaining(`Role "broken", ${place}`)}))
  })
})
