import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {stat} from 'node:fs/promises'
import {request} from 'node:https'
import {startAuth} from '../../../src/lib/auth/auth.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'
import type {Resource} from '../../../src/lib/resources/resource.js'
import {startTestAuth, testPassword, type TestAuth} from '../../helpers/auth.js'

let plane: TestAuth

beforeAll(async () => {
  plane = await startTestAuth()
})

afterAll(() => plane.stop())

interface Page {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
}

/** What a browser without JavaScript does. */
function browse(path: string, form?: Record<string, string>): Promise<Page> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        ...plane.auth.address,
        path,
        rejectUnauthorized: false,
        agent: false,
        ...(form ? {method: 'POST', headers: {'content-type': 'application/x-www-form-urlencoded'}} : {}),
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () => {
          resolve({status: response.statusCode ?? 0, headers: response.headers, text})
        })
      },
    )
    sent.on('error', reject).end(form ? new URLSearchParams(form).toString() : undefined)
  })
}

describe('an invite', () => {
  it('is a page that works without JavaScript; looking does not use it up, setting the password does', async () => {
    const {url} = await plane.admin.addUser({name: '<b>"mallory"', roles: ['access'], traits: {}})
    const path = new URL(url).pathname
    const page = await browse(path)
    expect(page).toMatchObject({status: 200, headers: {'cache-control': 'no-store', 'referrer-policy': 'no-referrer'}})
    expect(page.headers['content-security-policy']).toContain("default-src 'none'")
    expect(page.text).toContain('&lt;b&gt;&quot;mallory&quot;')
    expect(page.text).not.toContain('<b>"mallory"')
    expect(page.text).not.toMatch(/<script/i)

    const different = await browse(path, {password: testPassword, repeated: 'something else'})
    expect(different).toMatchObject({status: 400, text: expect.stringContaining('not the same') as unknown})
    const short = await browse(path, {password: 'short', repeated: 'short'})
    expect(short.status).toBe(400)
    expect((await browse(path, {password: testPassword, repeated: testPassword})).status).toBe(200)
    await plane.logIn('<b>"mallory"')
    expect((await browse(path)).status).toBe(404)
    expect((await browse(path, {password: testPassword, repeated: testPassword})).status).toBe(404)
  })

  it('is void when a newer one was made', async () => {
    const {url: older} = await plane.admin.addUser({name: 'twice', roles: ['access'], traits: {}})
    await plane.admin.resetUser('twice', {})
    expect((await browse(new URL(older).pathname)).status).toBe(404)
  })
})

describe('a login', () => {
  it('with a wrong password and one of an unknown user get the same answer, and are audited', async () => {
    await plane.addUser('known', ['access'])
    const wrong = await plane.logIn('known', 'not this one at all').catch((error: unknown) => error)
    const unknown = await plane.logIn('unknown', 'not this one at all').catch((error: unknown) => error)
    expect(wrong).toMatchObject({code: 'ACCESS_DENIED'})
    expect((wrong as Error).message).toBe((unknown as Error).message)
    const {events} = await plane.admin.events({event: 'user.login', user: 'known'})
    expect(events.map(({code}) => code)).toEqual(['T1000I', 'T1000W'])
    expect(JSON.stringify(events)).not.toContain('not this one at all')
  })

  it('is locked after five bad passwords, also for the right one', async () => {
    await plane.addUser('guessed', ['access'])
    for (let attempt = 0; attempt < 5; attempt += 1) {
      await expect(plane.logIn('guessed', 'a wrong password')).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    }
    await expect(plane.logIn('guessed')).rejects.toMatchObject({code: 'TOO_MANY_REQUESTS'})
  })

  it("lives no longer than the user's roles allow", async () => {
    await plane.admin.createResource({
      kind: 'role',
      version: 'v7',
      metadata: {name: 'brief'},
      spec: {options: {max_session_ttl: '10m'}},
    })
    const {login} = await plane.addUser('hasty', ['access', 'brief'])
    expect(Date.parse(login.expires) - Date.now()).toBeLessThanOrEqual(600_000)
  })
})

describe('what a role without rules opens', () => {
  it.each(['role', 'user', 'token', 'db', 'db_server', 'lock'] as const)('is no %s at all', async (kind) => {
    const {client} = await plane.logIn('<b>"mallory"')
    await expect(client.listResources(kind)).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    await expect(client.getResource(kind, 'x')).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    await expect(client.deleteResource(kind, 'x')).rejects.toMatchObject({code: 'ACCESS_DENIED'})
  })

  it('is no certificate for others, no token and no user', async () => {
    const {client} = await plane.logIn('<b>"mallory"')
    const {publicKey} = await generateKeys()
    await expect(client.userCertificate({publicKey, user: 'known'})).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    await expect(client.databaseServerCertificate({publicKey, hosts: ['x']})).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
    })
    await expect(client.addToken({roles: ['Db']})).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    await expect(client.addUser({name: 'x', roles: ['editor'], traits: {}})).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
    })
  })

  it('is the audit log for an auditor, and nothing to change', async () => {
    const {client} = await plane.addUser('auditor', ['auditor'])
    expect((await client.events({limit: 1})).events).toHaveLength(1)
    await expect(client.deleteResource('role', 'access')).rejects.toMatchObject({code: 'ACCESS_DENIED'})
  })
})

describe('the control plane', () => {
  it('keeps the identity of its administrator for its owner alone', async () => {
    expect((await stat(plane.auth.adminIdentity)).mode & 0o777).toBe(0o600)
    expect((await stat(`${plane.options.dataDir}/backend.sqlite`)).mode & 0o777).toBe(0o600)
  })

  it('refuses a second process on its data, and another name for its cluster', async () => {
    await expect(startAuth(plane.options)).rejects.toMatchObject({code: 'CONFLICT'})
    const other = await startTestAuth()
    await other.auth.close()
    await expect(startAuth({...other.options, cluster: 'renamed.example.com'})).rejects.toMatchObject({code: 'INVALID'})
  })

  it('answers the same under /webapi and /v1/webapi, and versions with a v', async () => {
    for (const path of ['find', 'ping']) {
      const [one, other] = [await browse(`/webapi/${path}`), await browse(`/v1/webapi/${path}`)]
      expect(one.text).toBe(other.text)
      expect(JSON.parse(one.text)).toMatchObject({server_version: '0.1.0', cluster_name: 'test.example.com'})
    }
    expect((await browse('/v1/webapi/automaticupgrades/channel/default/version')).text).toBe('v0.1.0')
    expect(await browse('/v1/webapi/nothing')).toMatchObject({
      status: 404,
      text: expect.stringContaining('NOT_FOUND') as unknown,
    })
  })

  it('keeps a role that users hold, and replaces a resource only at the revision that was read', async () => {
    await expect(plane.admin.deleteResource('role', 'access')).rejects.toMatchObject({code: 'CONFLICT'})
    const {items} = await plane.admin.getResource('role', 'auditor')
    const [role] = items
    if (!role) throw new Error('the preset is gone')
    await plane.admin.putResource({...role, metadata: {...role.metadata, description: 'changed'}})
    await expect(plane.admin.putResource(role)).rejects.toMatchObject({code: 'CONFLICT'})
  })

  it('names both revisions in a conflict, for every kind that can be written', async () => {
    const metadata = {name: 'contested-0123456789'}
    const resources: Resource[] = [
      {kind: 'role', version: 'v7', metadata, spec: {}},
      {kind: 'user', version: 'v2', metadata, spec: {roles: ['auditor'], traits: {}}},
      {kind: 'token', version: 'v2', metadata, spec: {roles: ['Db'], join_method: 'token'}},
      {kind: 'db', version: 'v3', metadata: {name: 'contested'}, spec: {protocol: 'postgres', uri: 'db:5432'}},
      {kind: 'lock', version: 'v2', metadata, spec: {target: {user: 'nobody'}}},
    ]
    for (const resource of resources) {
      const {kind} = resource
      const {name} = resource.metadata
      const read = async (): Promise<Resource> =>
        (await plane.admin.getResource(kind, name)).items[0] ?? Promise.reject(new Error(`no ${kind}`))
      await plane.admin.createResource(resource)
      const mine = await read()
      await plane.admin.putResource(mine)
      const theirs = await read()
      await expect(plane.admin.putResource(mine)).rejects.toMatchObject({
        code: 'CONFLICT',
        message: expect.stringMatching(
          new RegExp(` revision ${mine.metadata.revision}\\b.* revision ${theirs.metadata.revision}\\b`),
        ),
      })
      expect(await read()).toEqual(theirs)
      // Of two at the same time, one is told that it came too late.
      const both = await Promise.allSettled([plane.admin.putResource(theirs), plane.admin.putResource(theirs)])
      expect(both.map(({status}) => status).sort()).toEqual(['fulfilled', 'rejected'])
      await plane.admin.deleteResource(kind, name)
      await expect(plane.admin.putResource(theirs)).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringContaining(`revision ${theirs.metadata.revision}`),
      })
    }
  })

  it('takes no masked token: its few visible characters could be guessed', async () => {
    const masked = `${'*'.repeat(24)}0123abcd`
    const token = {kind: 'token', version: 'v2', metadata: {name: masked}, spec: {roles: ['Db'], join_method: 'token'}}
    await expect(plane.admin.createResource(token as Resource)).rejects.toMatchObject({code: 'INVALID'})
  })
})
