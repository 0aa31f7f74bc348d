import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {ApiClient} from '../../../src/lib/api/client.js'
import {parseResource} from '../../../src/lib/resources/resource.js'
import {patience} from '../../helpers/patience.js'
import {newAuthority} from '../pki/issued.js'
import {closePlanes, startPlane} from './planes.js'

const lines: string[] = []
let client: ApiClient

beforeAll(async () => {
  const {endpoint} = await startPlane({
    authority: await newAuthority(),
    answer: (request, response) => {
      lines.push(`${request.method} ${request.url}`)
      response.end('{}')
    },
  })
  client = new ApiClient(endpoint, patience)
})

afterAll(async () => {
  await client.close()
  closePlanes()
})

describe('a name in a path', () => {
  it.each([
    ['alice', 'alice'],
    ['email@example.com', 'email%40example.com'],
    ['a/../../v1/users', 'a%2F..%2F..%2Fv1%2Fusers'],
    ['a?x=1#y', 'a%3Fx%3D1%23y'],
    ['a%2Fb', 'a%252Fb'],
    ['é 🙂', '%C3%A9%20%F0%9F%99%82'],
    ['a\r\nHost: evil', 'a%0D%0AHost%3A%20evil'],
    ['..', '..'],
  ])('%j stays one segment', async (name, segment) => {
    await client.getResource('user', name)
    await client.deleteResource('user', name)
    await client.resetUser(name, {})
    expect(lines.splice(0)).toEqual([
      `GET /v1/resources/user/${segment}`,
      `DELETE /v1/resources/user/${segment}`,
      `POST /v1/users/${segment}/reset`,
    ])
  })

  it('of a resource is taken from the resource', async () => {
    const lock = parseResource('lock', {
      kind: 'lock',
      version: 'v2',
      metadata: {name: 'a b'},
      spec: {target: {user: 'alice'}},
    })
    await client.putResource(lock)
    await client.createResource(lock)
    expect(lines.splice(0)).toEqual(['PUT /v1/resources/lock/a%20b', 'POST /v1/resources/lock'])
  })
})

it('a query of events leaves out what is not set', async () => {
  await client.events({user: 'a&b', limit: 5, cursor: undefined})
  expect(lines.splice(0)).toEqual(['GET /v1/events?user=a%26b&limit=5'])
})
