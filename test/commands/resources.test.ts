import {readFile, stat, writeFile} from 'node:fs/promises'
import {join, resolve} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {parse, parseAllDocuments} from 'yaml'
import {guideRole} from '../helpers/three-hosts.js'
import type {Finished} from '../helpers/cli.js'
import {startTestCluster, type TestCluster} from './cluster.js'

let cluster: TestCluster

beforeAll(async () => {
  cluster = await startTestCluster()
})

afterAll(async () => {
  await cluster.stop()
})

/** An editor that runs these lines of shell on the file, `$1`. */
async function editorOf(name: string, lines: string): Promise<NodeJS.ProcessEnv> {
  const file = join(cluster.directory, name)
  await writeFile(file, `#!/bin/sh\n${lines}\n`)
  // Texts that cannot be saved are kept there.
  return {EDITOR: `sh ${file}`, VISUAL: '', POSTERN_EDITOR: '', TMPDIR: cluster.directory}
}

const revisionIn = (yaml: string): string => /revision: "(\d+)"/.exec(yaml)?.[1] ?? 'none'

/** Where a message says that it has kept a text. */
const keptFile = (stderr: string): string => /kept in (\S+)\.\n/.exec(stderr)?.[1] ?? 'nowhere'

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

  it.each(['create -f', 'update'])(
    'can be edited: what get prints, %s takes, unless it was changed since',
    async (words) => {
      await cluster.admin(['create', '-f'], {input: role('edited', 'a')})
      const yaml = (await cluster.admin(['get', 'role/edited'])).stdout
      const save = (user: string): Promise<Finished> =>
        cluster.admin(words.split(' '), {input: yaml.replace('- a', `- ${user}`)})
      expect(await save('b')).toMatchObject({code: 0, stdout: 'role "edited" has been updated\n'})
      const newer = (await cluster.admin(['get', 'role/edited'])).stdout
      const {code, stderr} = await save('c')
      expect(code).toBe(1)
      expect(stderr).toContain(`is of revision ${revisionIn(yaml)}, and it has revision ${revisionIn(newer)} by now`)
      expect((await cluster.admin(['get', 'role/edited'])).stdout).toBe(newer)
    },
  )

  it('that were removed come back with create -f, and not with update', async () => {
    await cluster.admin(['create', '-f'], {input: role('removed', 'a')})
    const yaml = (await cluster.admin(['get', 'role/removed'])).stdout
    await cluster.admin(['rm', 'role/removed'])
    expect((await cluster.admin(['update'], {input: yaml})).code).toBe(5)
    expect((await cluster.admin(['update'], {input: role('removed', 'a')})).code).toBe(5)
    const created = await cluster.admin(['create', '-f'], {input: yaml})
    expect(created).toMatchObject({code: 0, stdout: 'role "removed" has been created\n'})
  })

  it('of several kinds are printed together, and all of them can be created again', async () => {
    await cluster.admin(['create', '-f'], {input: role('kept', 'a')})
    await cluster.admin(['tokens', 'add', '--type=db', '--value=a-token-to-be-kept'])
    const both = JSON.parse((await cluster.admin(['get', 'tokens,roles/kept', '-f', 'json'])).stdout) as {
      kind: string
    }[]
    expect(both.map(({kind}) => kind)).toEqual(expect.arrayContaining(['token', 'role']))
    const text = (await cluster.admin(['get', 'lock,role/kept', '-f', 'text'])).stdout
    expect(text).toMatch(/^ID .*\n-.*\n\nRole .*\n-.*\nkept /)
    expect((await cluster.admin(['get', 'all'])).stdout).not.toContain('kind: token')
    const all = (await cluster.admin(['get', 'all', '--with-secrets'])).stdout
    const kinds = parseAllDocuments(all).map((document) => document.get('kind'))
    expect(kinds).toEqual(expect.arrayContaining(['role', 'token']))
    expect((await cluster.admin(['create', '-f'], {input: all})).code).toBe(0)
    expect((await cluster.admin(['get', 'role,thing'])).code).toBe(2)
  })

  it('are deleted by kind and name', async () => {
    await cluster.admin(['create', '-f'], {input: role('gone', 'a')})
    expect((await cluster.admin(['rm', 'roles/gone'])).stdout).toBe('role "gone" has been deleted\n')
    expect((await cluster.admin(['rm', 'role/gone'])).code).toBe(5)
    expect((await cluster.admin(['rm', 'role'])).code).toBe(2)
    expect((await cluster.admin(['rm', 'thing/x'])).code).toBe(2)
  })
})

describe('edit', () => {
  beforeAll(async () => {
    await cluster.admin(['create', '-f'], {input: role('inedit', 'a')})
  })

  const edit = (environment: NodeJS.ProcessEnv, reference = 'role/inedit'): Promise<Finished> =>
    cluster.admin(['edit', reference], {environment})
  const stored = async (): Promise<string> => (await cluster.admin(['get', 'role/inedit'])).stdout

  it('saves what the editor leaves, from a file that only its owner can read', async () => {
    const seen = join(cluster.directory, 'seen')
    const environment = await editorOf(
      'sed-b',
      `stat -c '%a' "$1" > ${seen}; echo "$1" >> ${seen}; sed -i 's/- a/- b/' "$1"`,
    )
    expect(await edit(environment)).toEqual({code: 0, stdout: 'role "inedit" has been updated\n', stderr: ''})
    expect(await stored()).toContain('- b')
    const [mode, path = ''] = (await readFile(seen, 'utf8')).split('\n')
    expect(mode).toBe('600')
    await expect(stat(path)).rejects.toMatchObject({code: 'ENOENT'})
  })

  it('saves nothing when nothing was changed, and asks no editor about what is not there', async () => {
    const before = await stored()
    const none = {...(await editorOf('noop', 'true')), POSTERN_EDITOR: 'true', EDITOR: 'false'}
    expect(await edit(none)).toEqual({code: 0, stdout: '', stderr: 'Nothing was changed.\n'})
    expect(await stored()).toBe(before)
    const usual = await edit({POSTERN_EDITOR: '', VISUAL: '', EDITOR: ''})
    expect(usual).toMatchObject({code: 2, stdout: '', stderr: expect.stringContaining('There is no terminal for vi')})
    expect((await edit(none, 'role/missing')).code).toBe(5)
    expect((await edit(none, 'db_server/aurora')).code).toBe(2)
    expect((await edit(none, 'role')).code).toBe(2)
  })

  it('keeps the text when somebody else was faster, and names both revisions; update saves it then', async () => {
    const environment = await editorOf(
      'overtaken',
      `'${process.execPath}' '${resolve('bin/run.js')}' create -f > /dev/null <<EOF\n${role('inedit', 'theirs')}EOF\nsed -i 's/- b/- mine/' "$1"`,
    )
    const {code, stderr} = await edit(environment)
    expect(code).toBe(1)
    const theirs = await stored()
    expect(theirs).toContain('- theirs')
    const file = keptFile(stderr)
    const mine = await readFile(file, 'utf8')
    expect(mine).toContain('- mine')
    expect(stderr).toContain(`is of revision ${revisionIn(mine)}, and it has revision ${revisionIn(theirs)} by now`)
    expect((await cluster.admin(['update', file])).code).toBe(1)
    await writeFile(file, mine.replace(revisionIn(mine), revisionIn(theirs)))
    expect((await cluster.admin(['update', file])).code).toBe(0)
    expect(await stored()).toContain('- mine')
  })

  it.each([
    ['text that is no YAML', `echo '{' >> "$1"`, 'not valid YAML'],
    ['a field that does not exist', `sed -i 's/db_users/db_usrs/' "$1"`, 'db_usrs'],
    ['another name', `sed -i 's/name: inedit/name: other/' "$1"`, 'no longer the one role "inedit"'],
    ['a failing editor', `echo '#' >> "$1"; exit 3`, 'ended with exit code 3'],
  ])('keeps %s, and saves nothing', async (_what, lines, said) => {
    const before = await stored()
    const {code, stderr} = await edit(await editorOf('wrong', lines))
    expect(code).toBe(1)
    expect(stderr).toContain(said)
    expect((await readFile(keptFile(stderr), 'utf8')).length).toBeGreaterThan(10)
    expect(await stored()).toBe(before)
  })
})

describe('lock', () => {
  const lock = async (...words: string[]): Promise<Record<string, unknown>> => {
    const {stdout} = await cluster.admin(['lock', ...words, '--format=json'])
    return JSON.parse(stdout) as Record<string, unknown>
  }

  it('locks out whom it names until it is removed, and tells them why', async () => {
    await cluster.addUser('mallory', ['--roles=access'])
    await cluster.logIn('mallory')
    expect((await cluster.as('mallory', ['db', 'ls'])).code).toBe(0)
    const {code, stdout, stderr} = await cluster.admin(['lock', '--user=mallory', '--message=Ask security'])
    expect(code).toBe(0)
    const name = /^Created a lock with name "([0-9a-f-]{36})"\.\n$/.exec(stdout)?.[1] ?? ''
    expect(stderr).toBe(`Lift it with: postern rm lock/${name}\n`)
    const refused = await cluster.as('mallory', ['db', 'ls'])
    expect(refused).toMatchObject({code: 4, stderr: expect.stringContaining('Access is locked: Ask security')})
    expect((await cluster.admin(['rm', `lock/${name}`])).stdout).toBe(`lock "${name}" has been deleted\n`)
    expect((await cluster.as('mallory', ['db', 'ls'])).code).toBe(0)
  })

  it('ends when it is told to, and takes several targets', async () => {
    const spec = {target: {user: 'a', role: 'access', server_id: 'h'}, expires: '2099-01-31T17:00:00.000Z'}
    const words = ['--user=a', '--role=access', '--server-id=h', '--expires=2099-01-31T18:00:00+01:00']
    expect(await lock(...words)).toMatchObject({kind: 'lock', spec})
    const before = Date.now()
    const {spec: timed} = (await lock('--role=requester', '--ttl=1h30m')) as {spec: {expires: string}}
    const life = Date.parse(timed.expires) - before
    expect(life).toBeGreaterThanOrEqual(5_400_000)
    expect(life).toBeLessThan(6_000_000)
  })

  it('says when nobody has the name, and is in force all the same', async () => {
    const {code, stderr} = await cluster.admin(['lock', '--user=nobody-yet', '--ttl=1s'])
    expect({code, stderr}).toEqual({code: 0, stderr: expect.stringContaining('There is no user "nobody-yet" now')})
  })

  it.each([
    [[], '--user, --role or --server-id'],
    [['--user=a', '--ttl=1h', '--expires=2099-01-01T00:00:00Z'], '--expires'],
    [['--user=a', '--expires=2001-01-01T00:00:00Z'], 'in the past'],
    [['--user=a', '--expires=tomorrow'], 'not a moment'],
  ])('%j is a mistake of usage', async (words, said) => {
    const {code, stderr} = await cluster.admin(['lock', ...words])
    expect(code).toBe(2)
    expect(stderr).toContain(said)
  })
})
