import {randomUUID} from 'node:crypto'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {createAccessRoutes} from '../../../src/lib/auth/access-routes.js'
import {createRoutes} from '../../../src/lib/auth/routes.js'
import type {Route} from '../../../src/lib/auth/route.js'
import type {ApiClient} from '../../../src/lib/api/client.js'
import {startTestAuth, type TestAuth, type TestHost} from '../../helpers/auth.js'

/** The real table; its handlers are never called here. */
const table: readonly Route[] = [
  ...createRoutes({
    cluster: 'test',
    version: '0.1.0',
    publicAddress: {host: 'localhost', port: 443},
    defaultSessionTtlMilliseconds: 1,
  } as unknown as Parameters<typeof createRoutes>[0]),
  ...createAccessRoutes(undefined as unknown as Parameters<typeof createAccessRoutes>[0]),
]

let plane: TestAuth
let nobody: ApiClient
let agent: TestHost
let other: TestHost

beforeAll(async () => {
  plane = await startTestAuth()
  await plane.admin.createResource({kind: 'role', version: 'v7', metadata: {name: 'empty'}, spec: {}})
  nobody = (await plane.addUser('nobody', ['empty'])).client
  agent = await plane.joinHost('Db')
  other = await plane.joinHost('Proxy')
})

afterAll(() => plane.stop())

const nameOf = ({method, path}: Route): string => `${method} ${path}`
const of = (kind: Route['access']['kind']): [string, Route][] =>
  table.filter(({access}) => access.kind === kind).map((route) => [nameOf(route), route])

/** The code of the answer to a request with guessed parameters. */
function call(client: ApiClient, {method, path}: Route): Promise<string> {
  const guessed = path.replaceAll(/:\w+/g, () => randomUUID())
  return client.transport.request(method, guessed, method === 'GET' ? undefined : {}).then(
    () => 'done',
    (error: unknown) => String((error as {code?: unknown}).code),
  )
}

describe('D08: what roles must allow', () => {
  it.each(of('permission'))('%s is closed to a user whose roles say nothing, and to hosts', async (_name, route) => {
    expect(await call(nobody, route)).toBe('ACCESS_DENIED')
    expect(await call(agent.client, route)).toBe('ACCESS_DENIED')
    expect(await call(other.client, route)).toBe('ACCESS_DENIED')
  })
})

describe('D08: what members may call for what is their own', () => {
  const named = of('member').filter(([name]) => name.includes(':'))

  it.each(named)('%s gives nothing for a guessed name', async (_name, route) => {
    for (const client of [nobody, agent.client, other.client]) {
      expect(['NOT_FOUND', 'ACCESS_DENIED']).toContain(await call(client, route))
    }
  })
})

describe('D07: an agent that was taken over', () => {
  it.each(of('user'))('does not get at %s', async (_name, route) => {
    expect(await call(agent.client, route)).toBe('ACCESS_DENIED')
  })

  it.each(of('host'))('%s is for the hosts that it is for, and for no user', async (_name, route) => {
    expect(await call(nobody, route)).toBe('ACCESS_DENIED')
    const {access} = route
    if (access.kind === 'host' && !access.systemRoles.includes('Proxy')) {
      expect(await call(other.client, route)).toBe('ACCESS_DENIED')
    }
    if (access.kind === 'host' && !access.systemRoles.includes('Db')) {
      expect(await call(agent.client, route)).toBe('ACCESS_DENIED')
    }
  })

  it('does not answer for the watch stream of another host', async () => {
    const guessed = agent.client.ping(randomUUID(), {sequence: 1})
    await expect(guessed).rejects.toMatchObject({code: 'NOT_FOUND'})
  })
})

it('strangers get to what is public, and no further', async () => {
  const stranger = plane.clientOf()
  for (const [name, route] of of('member').concat(of('user'), of('permission'), of('host'))) {
    expect([name, await call(stranger, route)]).toEqual([name, 'NOT_LOGGED_IN'])
  }
})
