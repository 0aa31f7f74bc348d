import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import type {ApiClient} from '../../../src/lib/api/client.js'
import type {Database} from '../../../src/lib/resources/database.js'
import type {Role, Rule} from '../../../src/lib/resources/role.js'
import {startTestAuth, type TestAuth} from '../../helpers/auth.js'

let plane: TestAuth
const denied = {code: 'ACCESS_DENIED'}

beforeAll(async () => {
  plane = await startTestAuth()
})

afterAll(() => plane.stop())

const role = (name: string, allow: Rule[], deny: Rule[] = []): Role => ({
  kind: 'role',
  version: 'v7',
  metadata: {name},
  spec: {allow: {rules: allow}, deny: {rules: deny}},
})

const database = (name: string, team: string, uri = 'db:5432'): Database => ({
  kind: 'db',
  version: 'v3',
  metadata: {name, labels: {team}},
  spec: {protocol: 'postgres', uri},
})

const ownTeam = 'contains(user.spec.traits["teams"], resource.metadata.labels["team"])'
const all = ['list', 'read', 'create', 'update', 'delete'] as const

describe('rules with a condition on labels', () => {
  let client: ApiClient

  beforeAll(async () => {
    await plane.admin.createResource(role('team', [{resources: ['db'], verbs: [...all], where: ownTeam}]))
    await plane.admin.createResource(database('red-1', 'red'))
    await plane.admin.createResource(database('blue-1', 'blue'))
    client = (await plane.addUser('teammate', ['team'], {teams: ['red']})).client
  })

  it('list what meets it', async () => {
    expect((await client.listResources('db')).items.map(({metadata}) => metadata.name)).toEqual(['red-1'])
  })

  it('read what meets it', async () => {
    expect((await client.getResource('db', 'red-1')).items).toHaveLength(1)
    await expect(client.getResource('db', 'blue-1')).rejects.toMatchObject(denied)
  })

  it('create what meets it', async () => {
    await expect(client.createResource(database('blue-2', 'blue'))).rejects.toMatchObject(denied)
    await expect(client.putResource(database('blue-2', 'blue'))).rejects.toMatchObject(denied)
    expect(await client.createResource(database('red-2', 'red'))).toEqual({created: true})
    expect(await client.putResource(database('red-3', 'red'))).toEqual({created: true})
  })

  it('replace what met it and goes on to meet it', async () => {
    expect(await client.putResource(database('red-1', 'red', 'other:5432'))).toEqual({created: false})
    await expect(client.putResource(database('red-1', 'blue'))).rejects.toMatchObject(denied)
    await expect(client.putResource(database('blue-1', 'red'))).rejects.toMatchObject(denied)
  })

  it('delete what meets it', async () => {
    await expect(client.deleteResource('db', 'blue-1')).rejects.toMatchObject(denied)
    await client.deleteResource('db', 'red-1')
    expect((await plane.admin.listResources('db')).items.map(({metadata}) => metadata.name)).not.toContain('red-1')
  })

  it('say nothing of other kinds', async () => {
    await expect(client.listResources('role')).rejects.toMatchObject(denied)
  })
})

describe('a deny rule with a condition', () => {
  it('takes away only what meets it', async () => {
    const notProd = role(
      'not-prod',
      [{resources: ['db'], verbs: ['*']}],
      [{resources: ['db'], verbs: ['delete'], where: 'equals(resource.metadata.labels["team"], "prod")'}],
    )
    await plane.admin.createResource(notProd)
    await plane.admin.createResource(database('prod-1', 'prod'))
    await plane.admin.createResource(database('test-1', 'test'))
    const {client} = await plane.addUser('careful', ['not-prod'])
    await expect(client.deleteResource('db', 'prod-1')).rejects.toMatchObject(denied)
    await client.deleteResource('db', 'test-1')
    expect((await client.getResource('db', 'prod-1')).items).toHaveLength(1)
  })
})

describe('a condition where nothing is told that it could look at', () => {
  it('grants nothing', async () => {
    const where = 'resource.metadata.name == "x" || !equals(resource.metadata.labels["a"], "b")'
    await plane.admin.createResource(
      role('vague', [{resources: ['event', 'token', 'cert_authority'], verbs: ['*'], where}]),
    )
    const {client} = await plane.addUser('victor', ['vague'])
    await expect(client.events({})).rejects.toMatchObject(denied)
    await expect(client.authority('user')).rejects.toMatchObject(denied)
    await expect(client.addToken({roles: ['Db']})).rejects.toMatchObject(denied)
  })

  it('still counts when it is about the user alone', async () => {
    const where = 'contains(user.spec.traits["teams"], "audit")'
    await plane.admin.createResource(role('by-trait', [{resources: ['event'], verbs: ['list'], where}]))
    const {client: auditor} = await plane.addUser('audrey', ['by-trait'], {teams: ['audit']})
    const {client: other} = await plane.addUser('otto', ['by-trait'], {teams: ['sales']})
    expect((await auditor.events({limit: 1})).events).toHaveLength(1)
    await expect(other.events({limit: 1})).rejects.toMatchObject(denied)
  })
})

describe('the verb readnosecrets', () => {
  it('shows resources, and of tokens not the secret', async () => {
    await plane.admin.createResource(role('looker', [{resources: ['role', 'token'], verbs: ['list', 'readnosecrets']}]))
    const secret = 'a-secret-of-ours-1234'
    await plane.admin.createResource({
      kind: 'token',
      version: 'v2',
      metadata: {name: secret},
      spec: {roles: ['Db'], join_method: 'token'},
    })
    const {client} = await plane.addUser('lola', ['looker'])
    expect((await client.getResource('role', 'looker')).items).toHaveLength(1)
    expect(JSON.stringify((await client.listResources('token')).items)).not.toContain('secret')
  })
})
