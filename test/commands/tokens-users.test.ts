import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {startTestCluster, type TestCluster} from './cluster.js'

let cluster: TestCluster

beforeAll(async () => {
  cluster = await startTestCluster()
})

afterAll(async () => {
  await cluster.stop()
})

describe('tokens', () => {
  it('add --format=text prints the token and nothing else', async () => {
    const {code, stdout, stderr} = await cluster.admin(['tokens', 'add', '--type=db', '--format=text'])
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    expect(stdout).toMatch(/^[0-9a-f]{32}\n$/)
  })

  it('add without a format prints commands with the pin', async () => {
    const {stdout} = await cluster.admin(['tokens', 'add', '--type=db', '--ttl=1h', '--db-name=aurora'])
    expect(stdout).toContain('It can be used for 1 hour.')
    expect(stdout).toContain(`--ca-pin=${cluster.caPin}`)
    expect(stdout).toContain(`--proxy=${cluster.proxy}`)
    expect(stdout).toContain('--name=aurora')
  })

  it('add gives programs expiry, roles and token, in this order', async () => {
    const {stdout} = await cluster.admin(['tokens', 'add', '--type=db', '--type=proxy', '--format=json'])
    const answer = JSON.parse(stdout) as Record<string, unknown>
    expect(Object.keys(answer)).toEqual(['expires', 'roles', 'token'])
    expect(answer.roles).toEqual(['Db', 'Proxy'])
  })

  it('ls masks them, rm takes the whole token', async () => {
    const value = 'a-token-that-we-chose-0042'
    await cluster.admin(['tokens', 'add', '--type=proxy', `--value=${value}`, '--databases=aurora'])
    const masked = await cluster.admin(['tokens', 'ls'])
    expect(masked.stdout).toMatch(/^Token +Type +Labels +Expiry Time \(UTC\)$/m)
    expect(masked.stdout).not.toContain(value)
    expect((await cluster.admin(['tokens', 'ls', '--with-secrets', '--format=json'])).stdout).toContain(value)
    expect((await cluster.admin(['get', 'token'])).stdout).not.toContain(value)
    const again = await cluster.admin(['tokens', 'add', '--type=proxy', `--value=${value}`])
    expect(again.code).toBe(6)
    const removed = await cluster.admin(['tokens', 'rm', value])
    expect(removed.stdout).toMatch(/^token "\*{20}e-0042" has been deleted\n$/)
    expect((await cluster.admin(['tokens', 'rm', value])).code).toBe(5)
  })

  it('of an unknown type are a mistake of usage', async () => {
    expect((await cluster.admin(['tokens', 'add', '--type=node'])).code).toBe(2)
  })
})

describe('users', () => {
  it('add, ls, reset and rm', async () => {
    const added = await cluster.admin([
      'users',
      'add',
      '--roles=access,requester',
      '--db-users=*',
      '--db-names',
      'a,b',
      'carol',
    ])
    expect(added.stdout).toContain('works once, for 1h:')
    expect(added.stdout).toMatch(new RegExp(`^https://${cluster.proxy}/web/invite/[0-9a-f]{32}$`, 'm'))
    const [carol] = JSON.parse((await cluster.admin(['get', 'user/carol', '--format=json'])).stdout) as {
      spec: {traits: unknown}
    }[]
    expect(carol?.spec.traits).toEqual({db_users: ['*'], db_names: ['a', 'b']})
    expect((await cluster.admin(['users', 'ls'])).stdout).toMatch(/^carol +access,requester$/m)
    expect((await cluster.admin(['users', 'reset', 'carol'])).stdout).toMatch(/for 8h:\nhttps:\/\/.+\/web\/reset\/\w+/)
    expect((await cluster.admin(['users', 'rm', 'carol'])).stdout).toBe('user "carol" has been deleted\n')
    expect((await cluster.admin(['users', 'reset', 'carol'])).code).toBe(5)
  })

  it('that exist are not added again', async () => {
    await cluster.admin(['users', 'add', '--roles=access', 'dave'])
    const {code, stderr} = await cluster.admin(['users', 'add', '--roles=access', 'dave', '--format=json'])
    expect(code).toBe(6)
    expect(JSON.parse(stderr)).toMatchObject({
      error: {code: 'ALREADY_EXISTS', message: expect.stringContaining('dave')},
    })
  })

  it('update replaces the lists that are named, and nothing else', async () => {
    await cluster.admin(['users', 'add', '--roles=access', '--db-users=a', '--db-names=shop', 'frank'])
    const update = (...words: string[]) => cluster.admin(['users', 'update', 'frank', ...words])
    expect(await update('--set-roles=access,auditor', '--set-db-users', '*')).toEqual({
      code: 0,
      stdout: 'User frank has been updated:\n\tNew roles: access,auditor\n\tNew database users: *\n',
      stderr: '',
    })
    const spec = async (): Promise<unknown> => {
      const {stdout} = await cluster.admin(['get', 'user/frank', '--format=json'])
      return (JSON.parse(stdout) as {spec: unknown}[])[0]?.spec
    }
    expect(await spec()).toMatchObject({roles: ['access', 'auditor'], traits: {db_users: ['*'], db_names: ['shop']}})
    expect((await update('--set-db-users=', '--set-db-roles=reader')).stdout).toContain(
      '\tNew database users: (none)\n',
    )
    expect(await spec()).toMatchObject({traits: {db_names: ['shop'], db_roles: ['reader']}})
    // Two at the same time change two things.
    await Promise.all([update('--set-db-users=x'), update('--set-db-names=y'), update('--set-logins=z')])
    expect(await spec()).toMatchObject({traits: {db_users: ['x'], db_names: ['y'], logins: ['z']}})
  })

  it('update changes nothing that it cannot change whole', async () => {
    await cluster.admin(['users', 'add', '--roles=access', 'grace'])
    expect((await cluster.admin(['users', 'update', 'grace'])).code).toBe(2)
    expect((await cluster.admin(['users', 'update', 'grace', '--set-db-roles=*'])).code).toBe(2)
    expect((await cluster.admin(['users', 'update', 'grace', '--set-roles=nope', '--set-db-users=x'])).code).toBe(5)
    expect((await cluster.admin(['users', 'update', 'grace', '--set-roles='])).code).toBe(1)
    expect((await cluster.admin(['users', 'update', 'nobody', '--set-roles=access'])).code).toBe(5)
    expect((await cluster.admin(['get', 'user/grace'])).stdout).toContain('- access\n  traits: {}')
  })

  it('cannot be given roles that do not exist', async () => {
    expect((await cluster.admin(['users', 'add', '--roles=nope', 'erin'])).code).toBe(5)
  })
})
