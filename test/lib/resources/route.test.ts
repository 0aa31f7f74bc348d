import {describe, expect, it} from '@jest/globals'
import {
  agentServerName,
  authServerName,
  databaseServerName,
  parseRoute,
  tunnelServerName,
  type Route,
} from '../../../src/lib/resources/route.js'

const cluster = 'Example.com'

describe('a server name', () => {
  it.each<[string, Route]>([
    [agentServerName('5e1dc8a1', cluster), {kind: 'agent', hostId: '5e1dc8a1'}],
    [databaseServerName('My-Redshift', cluster), {kind: 'database', database: 'my-redshift'}],
    [tunnelServerName(cluster), {kind: 'tunnel'}],
    [authServerName(cluster), {kind: 'auth'}],
  ])('%s is read as it was made, also for a cluster with capitals', (name, route) => {
    expect(parseRoute(name, cluster)).toEqual(route)
    expect(parseRoute(name.toUpperCase(), cluster.toLowerCase())).toEqual(route)
  })

  it.each([
    ['', 'no name'],
    ['auth', 'the route alone'],
    ['.agent.example.com', 'an empty host id'],
    ['a.b.agent.example.com', 'two labels'],
    ['auth.example.com.', 'a final dot'],
    ['xauth.example.com', 'a longer label'],
    ['auth.example.org', 'another cluster'],
    ['auth.example.com.example.org', 'the cluster inside another'],
    ['auth.sub.example.com', 'a cluster below'],
    ['constructor.example.com', 'a name that every object has'],
  ])('%j (%s) goes to the web endpoint', (name) => {
    expect(parseRoute(name, 'example.com')).toEqual({kind: 'web'})
  })

  it('does not fold letters that DNS does not: the Kelvin sign is no k', () => {
    expect(parseRoute('\u212A.db.example.com', 'example.com')).toEqual({kind: 'database', database: '\u212A'})
  })

  it('is a database even when that is called like a route', () => {
    expect(parseRoute('auth.db.example.com', 'example.com')).toEqual({kind: 'database', database: 'auth'})
    expect(parseRoute('db.db.example.com', 'example.com')).toEqual({kind: 'database', database: 'db'})
  })
})
