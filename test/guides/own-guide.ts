/** Our own guides, docs/guides: what stands in their `sh` blocks is run, block by block. */
import {expect} from '@jest/globals'
import {readFileSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'
import {cli, type Finished} from '../helpers/cli.js'
import {Reader, type Typing} from './reader.js'

const roles: readonly (readonly [RegExp, Typing])[] = [
  [/^postern login .*--user=email@example\.com$/m, {person: 'administrator', answers: [Reader.password]}],
  [/^postern login /, {person: 'alice', answers: [Reader.password]}],
  [
    /^postern db (ls|connect|doctor|logout)\b/,
    {person: 'alice', input: 'select current_user, count(*) from products;\n'},
  ],
  [/^postern db configure aws create-iam /, {person: 'operator of AWS', answers: [[/Confirm\?/, 'y']]}],
  [/^postern db configure /, {person: 'database host'}],
  [/^postern install systemd /, {person: 'database host'}],
  [/^postern (tokens|create|users) /, {person: 'administrator'}],
]

/** Runs a guide from its beginning, on machines where nothing has been done; what `db connect` printed. */
export async function followOwn(guide: string, reader: Reader): Promise<string[]> {
  await reader.freshMachines()
  for (const words of [
    ['users', 'rm', 'alice'],
    ['rm', 'role/db'],
  ]) {
    await cli([...words, '--config', reader.facts.config]).catch(() => undefined)
  }
  await reader.run(`mkdir -p '${reader.root}/etc/systemd/system'`)
  const connected: string[] = []
  for (const block of blocksOf(guide)) {
    const text = reader.rooted(block.replace(/postern\.example\.com(:443)?/g, reader.facts.proxy))
    const {stdout} = await runBlock(text, reader)
    if (/^postern users add /m.test(text)) await reader.accept(stdout)
    if (text.startsWith('postern db connect')) connected.push(stdout)
  }
  return connected
}

function blocksOf(guide: string): string[] {
  const text = readFileSync(`docs/guides/${guide}.md`, 'utf8')
  return Array.from(text.matchAll(/^```sh\n(.*?)\n```$/gms), ([, block = '']) =>
    block.replace(/^sudo /gm, '').replace('--user=admin', '--user=email@example.com'),
  )
}

async function runBlock(text: string, reader: Reader): Promise<Finished> {
  if (text === 'systemctl enable --now postern') {
    await reader.startService(await reader.read('etc/systemd/system/postern.service'))
    return {code: 0, stdout: '', stderr: ''}
  }
  const [, typing] = roles.find(([pattern]) => pattern.test(text)) ?? []
  if (!typing) throw new Error(`nobody is said to run this:\n${text}`)
  // A database is listed a moment after its agent has joined, and the agent hears of somebody new a moment later: then psql
  // ends with 2.
  for (let attempt = 0; ; attempt += 1) {
    const answer = await reader.run(`set -e\n${text}`, typing)
    const isListed = !text.startsWith('postern db ls') || answer.stdout.includes(reader.facts.database.name)
    const isHeardOf = !text.startsWith('postern db connect') || answer.code !== 2
    if ((isListed && isHeardOf) || attempt > 700) {
      expect({text, ...answer}).toMatchObject({code: 0})
      return answer
    }
    await sleep(200)
  }
}
