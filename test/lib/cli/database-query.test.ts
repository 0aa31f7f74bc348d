import {describe, expect, it} from '@jest/globals'
import {compileQuery} from '../../../src/lib/cli/database-query.js'
import type {Database} from '../../../src/lib/resources/database.js'

const database: Database = {
  kind: 'db',
  version: 'v3',
  metadata: {name: 'eu-orders', description: 'Orders of Europe', labels: {env: 'dev', teams: 'shop,billing', '': 'x'}},
  spec: {protocol: 'postgres', uri: 'orders.internal:5432'},
}
const queried = {database, type: 'rds', health: 'unhealthy'}

describe('a query', () => {
  it.each([
    ['labels["env"] == "dev" && name == "eu-orders"', true],
    ['labels.env == "dev"', true],
    ['labels["env"] != "dev"', false],
    ['labels["none"] == ""', true],
    ['labels["toString"] == ""', true],
    ['exists(labels["none"])', false],
    ['equals(name, "eu-orders")', true],
    ['hasPrefix(name, "eu-") && !hasPrefix(name, "us-")', true],
    ['contains(split(labels["teams"], ","), "billing")', true],
    ['health.status == "unhealthy"', true],
    ['search("EUROPE", "rds", "internal")', true],
    ['search("europe", "asia")', false],
    ['resource.metadata.labels["env"] == "dev" && resource.spec.protocol == "postgres"', true],
    ['resource.spec.uri == "orders.internal:5432" && resource.metadata.description == "Orders of Europe"', true],
    ['(name == "a" || name == "eu-orders") && resource.kind == "db"', true],
  ])('%s is %j', (query, expected) => {
    expect(compileQuery(query)(queried)).toBe(expected)
  })

  it.each(['labels["env"] = "dev"', 'name', 'nothing == "x"', 'name ==', 'f(name)', '', 'user.metadata.name == "x"'])(
    '%j is a mistake of usage',
    (query) => {
      expect(() => compileQuery(query)).toThrow(expect.objectContaining({code: 'USAGE'}))
    },
  )
})
