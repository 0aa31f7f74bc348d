import {decide, type Decision, type Question} from '../../../src/lib/access/decision.js'
import type {Traits} from '../../../src/lib/access/template.js'
import type {Labels} from '../../../src/lib/core/labels.js'
import {parseResource} from '../../../src/lib/resources/resource.js'
import type {Role} from '../../../src/lib/resources/role.js'

export function role(name: string, spec: object, version = 'v7'): Role {
  return parseResource('role', {kind: 'role', version, metadata: {name}, spec})
}

export const everything = {db_labels: {'*': '*'}, db_users: ['*'], db_names: ['*']}

/** Who asks, with all of these roles, and for which database. */
export function asked(roles: readonly Role[], traits: Traits = {}, labels: Labels = {env: 'dev'}): Question {
  return {
    subject: {user: 'alice', roles: roles.map(({metadata}) => metadata.name), traits},
    roles: new Map(roles.map((one) => [one.metadata.name, one])),
    target: {name: 'orders', labels},
    request: {dbUser: 'alice', dbName: 'shop'},
    locks: [],
    now: 0,
  }
}

export const decided = (question: Question, request?: Partial<Question['request']>): Decision =>
  decide({...question, request: {...question.request, ...request}})
