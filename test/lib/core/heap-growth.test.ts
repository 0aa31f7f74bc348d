import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {execFile} from 'node:child_process'
import {rm} from 'node:fs/promises'
import {join} from 'node:path'
import {pathToFileURL} from 'node:url'
import {promisify} from 'node:util'
import {compile} from '../audit/compiled.js'

const run = promisify(execFile)
let program: string

beforeAll(async () => {
  program = await compile(['src/lib/core', 'src/lib/tunnel'])
})

afterAll(() => rm(program, {recursive: true, force: true}))

/** Megabytes of the space for new objects after much came and went, in a process that did this before. */
async function newSpaceAfter(before: string): Promise<number> {
  const moduleOf = (file: string): string => JSON.stringify(pathToFileURL(join(program, 'src/lib', file)).href)
  const source = `
    import {getHeapSpaceStatistics} from 'node:v8'
    import {keepHeapSmall} from ${moduleOf('core/heap-growth.js')}
    import {Turns} from ${moduleOf('tunnel/turns.js')}
    const megabyte = 2 ** 20
    keepHeapSmall()
    const session = new Turns()
    ${before}
    const alive = new Array(50_000)
    for (let index = 0; index < 5_000_000; index += 1) alive[index % alive.length] = {index}
    const space = getHeapSpaceStatistics().find(({space_name: name}) => name === 'new_space')
    console.log(space.space_size / megabyte)`
  const {stdout, stderr} = await run(process.execPath, ['--input-type=module', '-e', source], {env: {}})
  // V8 names a setting that it does not know, and goes on without.
  expect(stderr).toBe('')
  return Number(stdout)
}

it('new objects get no more room than at the start, until sessions are busy', async () => {
  const small = await newSpaceAfter(
    'for (let second = 1; second < 100; second += 1) session.spend(50_000, second * 1000)',
  )
  expect(small).toBeLessThanOrEqual(4)
  const busy = await newSpaceAfter('for (let chunks = 0; chunks < 4; chunks += 1) session.spend(50_000, 1000)')
  expect(busy).toBeGreaterThan(2 * small)
})
