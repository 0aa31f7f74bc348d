import {expect, it} from '@jest/globals'
import type {UserScope} from '../../../src/lib/resources/database-user.js'
import {asked, decided, everything, role} from './asked.js'

const home = '111111111111'
const abroad = '222222222222'
const redshift: UserScope = {type: 'redshift', account: home}
const serverless: UserScope = {type: 'redshift-serverless', account: home}
const unknown: UserScope = {type: 'redshift'}
const postgres: UserScope = {type: 'rds', account: home}
const arnIn = (account: string, name: string): string => `arn:aws:iam::${account}:role/${name}`

/** Whether the user gets in when a role allows everybody and denies this entry. */
function isDenied(scope: UserScope, entry: string, dbUser: string): boolean {
  const question = asked([role('r', {allow: everything, deny: {db_users: [entry]}})])
  return !decided({...question, target: {...question.target, scope}}, {dbUser}).allowed
}

function isAllowed(scope: UserScope, entry: string, dbUser: string): boolean {
  const question = asked([role('r', {allow: {...everything, db_users: [entry]}})])
  return decided({...question, target: {...question.target, scope}}, {dbUser}).allowed
}

it.each<[UserScope, string, string, boolean]>([
  [redshift, 'admin', 'ADMIN', true],
  [redshift, 'Admin', 'admin', true],
  [redshift, 'admin', 'admın', false],
  [postgres, 'admin', 'Admin', false],
  [redshift, 'role/admin', arnIn(home, 'admin'), true],
  [redshift, arnIn(home, 'admin'), 'role/ADMIN', true],
  [unknown, 'role/admin', arnIn(abroad, 'admin'), true],
  [redshift, arnIn(abroad, 'admin'), arnIn(home, 'admin'), false],
  [serverless, 'admin', 'role/admin', true],
  [redshift, 'admin', 'role/admin', false],
])('D01: a denial at %p of %s stops %s: %p', (scope, entry, dbUser, expected) => {
  expect(isDenied(scope, entry, dbUser)).toBe(expected)
})

it.each<[UserScope, string, string, boolean]>([
  [redshift, 'alice', 'Alice', true],
  [postgres, 'alice', 'Alice', false],
  [redshift, 'role/readers', arnIn(home, 'readers'), true],
  [redshift, arnIn(home, 'readers'), 'role/readers', true],
  [redshift, 'role/readers', arnIn(abroad, 'readers'), false],
  [unknown, 'role/readers', arnIn(abroad, 'readers'), false],
  [redshift, 'role/readers', 'role/Readers', false],
  [serverless, 'readers', arnIn(home, 'readers'), true],
  [redshift, 'readers', 'role/readers', false],
  [postgres, 'role/readers', arnIn(home, 'readers'), false],
])('a permission at %p for %s lets %s in: %p', (scope, entry, dbUser, expected) => {
  expect(isAllowed(scope, entry, dbUser)).toBe(expected)
})

it('D01: names of databases on Redshift are folded too', () => {
  const question = asked([role('r', {allow: everything, deny: {db_names: ['Secrets']}})])
  const at = (scope: UserScope) => ({...question, target: {...question.target, scope}})
  expect(decided(at(redshift), {dbName: 'SECRETS'}).allowed).toBe(false)
  expect(decided(at(postgres), {dbName: 'SECRETS'}).allowed).toBe(true)
})
