import {expect, it} from '@jest/globals'
import {standingTraits} from '../../../src/lib/access/standing-traits.js'

it.each([
  [{db_users: ['a', 'b']}, {db_users: ['b', 'c']}, {db_users: ['b']}],
  [{db_users: ['a']}, {db_users: ['b']}, {}],
  [{db_users: ['*']}, {db_users: ['*']}, {db_users: ['*']}],
  [{db_users: ['a']}, {}, {}],
  [{}, {db_users: ['a']}, {}],
  [{toString: ['a']}, {}, {}],
])('%j of the certificate and %j of the user are %j', (certified, held, expected) => {
  expect(standingTraits(certified as Record<string, string[]>, held as Record<string, string[]>)).toEqual(expected)
})
