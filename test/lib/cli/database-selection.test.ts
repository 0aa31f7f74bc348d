import {describe, expect, it} from '@jest/globals'
import type {VisibleDatabase} from '../../../src/lib/api/responses.js'
import {chooseAccount} from '../../../src/lib/cli/database-account.js'
import {discoveredNameLabel, selectDatabase} from '../../../src/lib/cli/database-selection.js'
import {visible} from './visible.js'

const names = (databases: readonly VisibleDatabase[], selector: Parameters<typeof selectDatabase>[1]): string =>
  selectDatabase(databases, selector).database.metadata.name

describe('selecting a database', () => {
  const all = [
    visible({name: 'orders', labels: {env: 'dev'}}),
    visible({name: 'orders-us', labels: {env: 'prod', [discoveredNameLabel]: 'shop'}}),
    visible({name: 'orders-eu', labels: {env: 'prod', [discoveredNameLabel]: 'shop'}}),
    visible({name: 'shop-one', labels: {[discoveredNameLabel]: 'one'}}),
  ]

  it('takes the exact name, whatever its case', () => {
    expect(names(all, {name: 'ORDERS'})).toBe('orders')
  })

  it('takes the name in the cloud when it is one database', () => {
    expect(names(all, {name: 'one'})).toBe('shop-one')
  })

  it('prefers the exact name over names in the cloud', () => {
    expect(names([...all, visible({name: 'shop'})], {name: 'shop'})).toBe('shop')
  })

  it('takes labels, which must all match', () => {
    expect(names(all, {labels: {env: 'dev'}})).toBe('orders')
    expect(() => names(all, {labels: {env: 'dev', team: 'x'}})).toThrow(expect.objectContaining({code: 'NOT_FOUND'}))
    expect(() => names(all, {name: 'orders', labels: {env: 'prod'}})).toThrow(
      expect.objectContaining({code: 'NOT_FOUND', message: expect.stringContaining('env=prod')}),
    )
  })

  it('names all that match when several do', () => {
    expect(() => names(all, {name: 'shop'})).toThrow(
      expect.objectContaining({code: 'USAGE', message: expect.stringContaining('orders-eu, orders-us')}),
    )
  })

  it('says how to see the databases when none matches', () => {
    expect(() => names(all, {name: 'nope'})).toThrow(
      expect.objectContaining({
        code: 'NOT_FOUND',
        message: expect.stringContaining('"nope"'),
        hints: [expect.stringContaining('postern db ls')],
      }),
    )
  })
})

describe('database user and name', () => {
  it('are what was asked for', () => {
    expect(chooseAccount(visible({users: ['a', 'b'], names: ['x', 'y']}), {dbUser: 'c', dbName: 'z'})).toEqual({
      dbUser: 'c',
      dbName: 'z',
      notices: [],
    })
  })

  it('are the only ones that are allowed, and the name is said', () => {
    const account = chooseAccount(visible({users: ['alice'], names: ['shop']}), {})
    expect(account).toMatchObject({dbUser: 'alice', dbName: 'shop'})
    expect(account.notices).toEqual([expect.stringContaining('"shop"')])
  })

  it('are dev on Redshift, where any name is allowed', () => {
    for (const type of ['redshift', 'redshift-serverless']) {
      expect(chooseAccount(visible({type, users: ['alice'], names: ['*']}), {}).dbName).toBe('dev')
    }
    expect(chooseAccount(visible({type: 'redshift', users: ['alice'], names: ['a', 'b']}), {}).dbName).toBe('alice')
    const denied = visible({type: 'redshift', users: ['alice'], names: ['*'], deniedNames: ['dev']})
    expect(chooseAccount(denied, {}).dbName).toBe('alice')
  })

  it('the name is the database user elsewhere, as psql has it', () => {
    expect(chooseAccount(visible({users: ['*'], names: ['*']}), {dbUser: 'bob'}).dbName).toBe('bob')
  })

  it.each([
    [['*'], [], 'any'],
    [['*', 'alice'], [], 'any'],
    [['*'], ['postgres'], 'any except postgres'],
    [['alice', 'bob'], [], 'alice or bob'],
  ])('must be named where %j is allowed', (users, deniedUsers, said) => {
    expect(() => chooseAccount(visible({name: 'orders', users, deniedUsers, names: ['*']}), {})).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        message: `Which database user for "orders"? Allowed: ${said}.`,
        hints: ['Name it with --db-user.'],
      }),
    )
  })

  it('cannot be chosen where none is allowed', () => {
    expect(() => chooseAccount(visible({users: [], names: ['*']}), {})).toThrow(
      expect.objectContaining({code: 'ACCESS_DENIED'}),
    )
    expect(() => chooseAccount(visible({users: ['a'], names: []}), {})).toThrow(
      expect.objectContaining({code: 'ACCESS_DENIED'}),
    )
  })
})
