import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {parseLabels} from '../../src/lib/core/labels.js'
import {reportedHealth, startTestAuth, type TestAuth} from '../helpers/auth.js'
import {runCli} from '../helpers/cli.js'

/** docs/access.md, block by block: files are written, commands run, and what they print is what the page shows. */

interface Block {
  readonly language: string
  /** Of a file. */
  readonly name: string
  readonly text: string
}

let plane: TestAuth
let directory: string
let page: string

beforeAll(async () => {
  page = await readFile('docs/access.md', 'utf8')
  directory = await mkdtemp(join(tmpdir(), 'postern-access-'))
  plane = await startTestAuth()
  const {client} = await plane.joinHost('Db')
  const databases = databasesOf(page).map(([name, labels]) => ({
    database: {
      kind: 'db' as const,
      version: 'v3' as const,
      metadata: {name, labels: parseLabels(labels)},
      spec: {protocol: 'postgres' as const, uri: 'db:5432'},
    },
    health: reportedHealth(),
  }))
  await client.heartbeat({hostname: 'agent-1', version: '0.1.0', databases})
})

afterAll(async () => {
  await plane.stop()
  await rm(directory, {recursive: true, force: true})
})

function databasesOf(text: string): [string, string][] {
  const [, table = ''] = /\| database +\| labels +\|\n(.*?)\n\n/s.exec(text) ?? []
  return [...table.matchAll(/^\| ([\w-]+) +\| (\S+=\S+) +\|$/gm)].map(([, name = '', labels = '']) => [name, labels])
}

function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^```(\w+)(?: (\S+))?\n(.*?)^```$/gms)].map(([, language = '', name = '', body = '']) => ({
    language,
    name,
    text: body,
  }))
}

/** What a terminal would show of these commands. */
async function perform(console: string): Promise<string> {
  const {host, port} = plane.auth.address
  const environment = {POSTERN_IDENTITY_FILE: plane.auth.adminIdentity, POSTERN_AUTH_SERVER: `${host}:${port}`}
  let shown = ''
  for (const line of console.split('\n').filter((each) => each.startsWith('$ '))) {
    const [command = '', unseen] = line.slice('$ postern '.length).split(' > ')
    const {stdout, stderr} = await runCli(command.split(' '), {cwd: directory, environment})
    shown += `${line}\n${unseen === undefined ? stdout : ''}${stderr}`
  }
  return shown
}

it('does what its blocks say', async () => {
  const blocks = blocksOf(page)
  for (const {language, name, text} of blocks) {
    if (language === 'yaml') await writeFile(join(directory, name), text)
    else expect(await perform(text)).toBe(text)
  }
  // Every role of the page is asked about, and every file is used.
  const commands = blocks.filter(({language}) => language === 'console').map(({text}) => text)
  for (const {name} of blocks.filter(({language}) => language === 'yaml')) expect(commands.join()).toContain(name)
  expect(commands).toHaveLength(11)
}, 300_000)
