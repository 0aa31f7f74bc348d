import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {parse, parseAllDocuments} from 'yaml'
import {guideRole} from '../helpers/three-hosts.js'
import {startTestCluster, type TestCluster} from './cluster.js'

let cluster: TestCluster

beforeAll(async () => {
  cluster = await startTestCluster()
})

afterAll(async () => {
  await cluster.stop()
})

const role = (name: string, user: string): string =>
  `kind: role\nversion: v3\nmetadata: {name: ${name}}\nspec: {allow: {db_users: [${user}]}}\n`

describe('resources', () => {
  it("are created from the guides' here-document", async () => {
    const {code, stdout} = await cluster.admin(['create'], {input: guideRole})
    expect({code, stdout}).toEqual({code: 0, stdout: 'role "db" has been created\n'})
  })

  it('that exist are only replaced with -f', async () => {
    await cluster.admin(['create', '-f'], {input: role('twice', 'a')})
    const {code, stderr} = await cluster.admin(['create'], {input: role('twice', 'b')})
    expect(code).toBe(6)
    expect(stderr).toBe('ERROR: role "twice" exists already.\n  Add -f (--force) to replace it.\n')
    const replaced = await cluster.admin(['create', '--force'], {input: role('twice', 'b')})
    expect(replaced.stdout).toBe('role "twice" has been updated\n')
  })

  it('of several documents are created in order, up to the first that fails', async () => {
    const file = join(cluster.directory, 'roles.yaml')
    await writeFile(file, [role('first', 'a'), role('first', 'b'), role('never', 'c')].join('---\n'))
    const {code, stdout} = await cluster.admin(['create', file])
    expect({code, stdout}).toEqual({code: 6, stdout: 'role "first" has been created\n'})
    expect((await cluster.admin(['get', 'role/never'])).code).toBe(5)
  })

  it('that are wrong are refused with what is wrong', async () => {
    const {code, stderr} = await cluster.admin(['create'], {
      input: 'kind: role\nversion: v3\nmetadata: {name: x}\nspec: {alow: {}}',
    })
    expect(code).toBe(1)
    expect(stderr).toContain('alow')
    expect((await cluster.admin(['create'], {input: ''})).stderr).toContain('holds no resource')
    expect((await cluster.admin(['create', join(cluster.directory, 'missing.yaml')])).code).toBe(5)
  })

  it('are printed as YAML documents, as a JSON list, as a table', async () => {
    await cluster.admin(['create', '-f'], {input: role('shown', 'a')})
    const yaml = (await cluster.admin(['get', 'role/shown'])).stdout
    expect(parse(yaml)).toMatchObject({kind: 'role', metadata: {name: 'shown'}})
    expect(parseAllDocuments((await cluster.admin(['get', 'roles'])).stdout).length).toBeGreaterThan(4)
    expect(JSON.parse((await cluster.admin(['get', 'role/shown', '--format', 'json'])).stdout)).toHaveLength(1)
    expect((await cluster.admin(['get', 'role/shown', '-f', 'text'])).stdout).toMatch(/^Role .*\n-+ .*\nshown +a/)
  })

  it('can be edited: what get prints, create -f takes, unless it was changed since', async () => {
    await cluster.admin(['create', '-f'], {input: role('edited', 'a')})
    const yaml = (await cluster.admin(['get', 'role/edited'])).stdout
    expect((await cluster.admin(['create', '-f'], {input: yaml.replace('- a', '- b')})).code).toBe(0)
    const stale = await cluster.admin(['create', '-f'], {input: yaml.replace('- a', '- c')})
    expect(stale.code).toBe(1)
    expect((await cluster.admin(['get', 'role/edited'])).stdout).toContain('- b')
  })

  it('are deleted by kind and name', async () => {
    await cluster.admin(['create', '-f'], {input: role('gone', 'a')})
    expect((await cluster.admin(['rm', 'roles/gone'])).stdout).toBe('role "gone" has been deleted\n')
    expect((await cluster.admin(['rm', 'role/gone'])).code).toBe(5)
    expect((await cluster.admin(['rm', 'role'])).code).toBe(2)
    expect((await cluster.admin(['rm', 'thing/x'])).code).toBe(2)
  })
})
