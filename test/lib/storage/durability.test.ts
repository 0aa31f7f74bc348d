import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'
import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {mkdtemp, rm, stat} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {setTimeout as sleep} from 'node:timers/promises'
import {pathToFileURL} from 'node:url'
import {systemClock as clock} from '../../../src/lib/core/clock.js'
import {openSqlite} from '../../../src/lib/storage/sqlite.js'
import {compile} from '../audit/compiled.js'

let program: string
let directory: string
let path: string
let children: ChildProcess[]

beforeAll(async () => {
  program = await compile(['src/lib/core', 'src/lib/storage'])
})

afterAll(() => rm(program, {recursive: true, force: true}))

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-storage-'))
  path = join(directory, 'backend.sqlite')
  children = []
})

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  await rm(directory, {recursive: true, force: true})
})

/** Another process on the same file; `script` has it as `backend`, and prints lines. */
function run(script: string): {readonly child: ChildProcess; readonly lines: AsyncIterable<string>} {
  const moduleOf = (file: string): string => JSON.stringify(pathToFileURL(join(program, 'src/lib', file)).href)
  const source = `
    import {systemClock as clock} from ${moduleOf('core/clock.js')}
    import {openSqlite} from ${moduleOf('storage/sqlite.js')}
    try {
      const backend = await openSqlite({path: ${JSON.stringify(path)}, clock})
      ${script}
    } catch (error) {
      console.log(error.code + ' ' + error.message)
    }`
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {stdio: ['ignore', 'pipe', 'inherit']})
  children.push(child)
  return {child, lines: createInterface({input: child.stdout})}
}

async function firstLine(lines: AsyncIterable<string>): Promise<string> {
  for await (const line of lines) return line
  throw new Error('the process said nothing')
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await once(child, 'close')
}

/** Writes for ever: two items at once, then an event, then a line that says so. */
const writer = (round: number): string => `
  for (let index = 0; ; index++) {
    const name = '${round}/' + index
    await backend.write([
      {type: 'put', key: 'one/' + name, value: name},
      {type: 'put', key: 'two/' + name, value: name},
    ])
    await backend.appendEvents([{time: index, event: 'e', sid: 's${round}', ei: index, hash: name, body: name}])
    process.stdout.write(name + '\\n')
  }`

describe('a process that is killed', () => {
  it('loses nothing that it acknowledged, and half of no write, at whatever moment', async () => {
    const acknowledged: string[] = []
    for (let round = 0; round < 6; round++) {
      const {child, lines} = run(writer(round))
      const last = Math.floor(Math.random() * 60)
      let count = 0
      for await (const line of lines) {
        acknowledged.push(line)
        if (count++ === last) child.kill('SIGKILL')
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      expect(count).toBeGreaterThan(last)
    }

    const backend = await openSqlite({path, clock})
    const one = (await backend.range('one/')).map(({value}) => value)
    const two = (await backend.range('two/')).map(({value}) => value)
    const {bodies} = await backend.listEvents({limit: 1_000_000, after: 0})
    await backend.close()
    expect(one).toEqual(two)
    const items = new Set(one)
    const events = new Set(bodies)
    expect(acknowledged.filter((name) => !items.has(name) || !events.has(name))).toEqual([])
  })

  it('leaves revisions that go on growing', async () => {
    const {child, lines} = run(`console.log(await backend.put('a', '1')); setInterval(() => undefined, 1000)`)
    const before = Number(await firstLine(lines))
    await kill(child)
    const backend = await openSqlite({path, clock})
    expect(before).toBeGreaterThan(0)
    expect(await backend.put('b', '1')).toBeGreaterThan(before)
    await backend.close()
  })
})

describe('a second process', () => {
  it('is refused with a sentence, until the first is gone', async () => {
    const {child, lines} = run(`console.log('open'); setInterval(() => undefined, 1000)`)
    expect(await firstLine(lines)).toBe('open')
    await expect(openSqlite({path, clock})).rejects.toMatchObject({
      code: 'CONFLICT',
      message: `Another process has the storage ${path} open.`,
    })
    await kill(child)

    const backend = await openSqlite({path, clock})
    await backend.put('a', '1')
    expect(await firstLine(run('').lines)).toMatch(/^CONFLICT Another process has the storage/)
    // Also after the journal was copied into the file, for which the file is synced by another descriptor.
    const large = 1_000_000
    await backend.put('large', 'x'.repeat(large))
    while ((await stat(path)).size < large) await sleep(20)
    await backend.put('b', '1')
    expect(await firstLine(run('').lines)).toMatch(/^CONFLICT Another process has the storage/)
    expect((await backend.get('a'))?.value).toBe('1')
    await backend.close()
    expect(await firstLine(run(`console.log((await backend.get('a')).value)`).lines)).toBe('1')
  })
})
