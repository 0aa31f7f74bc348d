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

describe('an invalid role', () => {
  it.each<[object, string]>([
    [
      {allow: {db_labels_expression: 'labels["env"] = "dev"'}},
      'spec.allow.db_labels_expression: at character 15: "=" means nothing here',
    ],
    [
      {deny: {db_labels_expression: 'label["env"] == "dev"'}},
      'spec.deny.db_labels_expression: at character 1: only labels and user.spec.traits can be looked into',
    ],
    [
      {allow: {db_labels_expression: 'contains(user.spec.traits["a"])'}},
      'at character 1: contains takes 2 values, not 1',
    ],
    [{allow: {db_labels_expression: 'labels["a"]'}}, 'at character 1: it gives a text, not yes or no'],
    [{allow: {db_labels_expression: 'regexp.match(labels["a"], "^($")'}}, '"^($" is not a regular expression'],
    [{allow: {db_labels_expression: 'regexp.match(labels["a"], labels["b"])'}}, 'takes a text in quotes here'],
    [{allow: {db_labels_expression: 'labels["a"] == user.spec.traits["b"]'}}, 'a text cannot be compared with a list'],
    [{allow: {db_labels_expression: '"a" == "a'}}, 'at character 8: the text that begins here has no end'],
    [{allow: {db_labels_expression: `${'('.repeat(40)}true${')'.repeat(40)}`}}, 'it is nested too deeply'],
    [{allow: {db_labels_expression: 'resource.metadata.name == "x"'}}, 'means nothing here; there is labels["key"]'],
    [
      {allow: {rules: [{resources: ['db'], verbs: ['read'], where: 'contains('}]}},
      'spec.allow.rules.0.where: at character 10',
    ],
    [
      {
        deny: {
          rules: [
            {resources: ['db'], verbs: ['read']},
            {resources: ['db'], verbs: ['read'], where: 'labels["a"] == "b"'},
          ],
        },
      },
      'spec.deny.rules.1.where: at character 1',
    ],
    [{options: {client_idle_timeout: 'soon'}}, 'spec.options.client_idle_timeout: "soon" is not a duration'],
    [{options: {max_session_ttl: '0s'}}, 'spec.options.max_session_ttl'],
    [{allow: {db_users: ['{{regexp.replace(external.a, "(", "")}}']}}, 'spec.allow.db_users: "{{regexp.replace'],
    [{allow: {db_labels: {a: Array.from({length: 5}, (_, i) => `^a{300}${i}.{0,300}$`)}}}, 'too large together'],
  ])('%j says where and why', (spec, why) => {
    expect(() => {
      checkRole(role('broken', spec))
    }).toThrow(expect.objectContaining({code: 'INVALID', message: expect.stringContaining(why)}))
  })

  it.each<[object, string]>([
    [{options: {require_session_mfa: 'yes'}}, 'spec.options.require_session_mfa: this version has no second factors'],
    [{options: {create_db_user_mode: 'keep'}}, 'spec.options.create_db_user_mode'],
    [{options: {disconnect_expired_cert: 'maybe'}}, 'spec.options.disconnect_expired_cert'],
    [{options: {max_connections: -1}}, 'spec.options.max_connections'],
    [{options: {lock: 'never'}}, 'spec.options.lock'],
    [{allow: {rules: [{resources: ['db'], verbs: ['look']}]}}, 'spec.allow.rules.0.verbs.0'],
    [{allow: {db_lables: {a: 'b'}}}, 'db_lables'],
    [{allow: {db_labels: {'*': 'dev'}}}, 'spec.allow.db_labels.*: the key "*" takes only the value "*"'],
  ])('%j is refused by its schema', (spec, why) => {
    expect(() => role('broken', spec)).toThrow(
      expect.objectContaining({code: 'INVALID', message: expect.stringContaining(why)}),
    )
  })
})
