/** `npm test` gives what fails a second run: scripts/run-tests.js, with tests that fail as told. */
import {execFile} from 'node:child_process'
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {dirname, join, resolve} from 'node:path'
import {afterEach, beforeEach, expect, it} from '@jest/globals'

const script = resolve('scripts/run-tests.js')
const passing = `it('passes', () => {})`
const failing = `it('fails', () => { throw new Error('each time') })`
const failingOnce = `
  const {existsSync, writeFileSync} = require('node:fs')
  it('passes the second time', () => {
    const mark = __filename + '.mark'
    const isSecond = existsSync(mark)
    writeFileSync(mark, '')
    expect(isSecond).toBe(true)
  })`

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'second-run-'))
  await writeFile(join(directory, 'package.json'), JSON.stringify({jest: {transform: {}}}))
})

afterEach(async () => {
  await rm(directory, {recursive: true})
})

interface Outcome {
  readonly code: number
  readonly output: string
}

async function runTests(
  files: readonly string[] | Readonly<Record<string, string>>,
  words: readonly string[] = [],
): Promise<Outcome> {
  for (const [name, text] of Object.entries(files)) {
    const file = join(directory, `${name}.test.js`)
    await mkdir(dirname(file), {recursive: true})
    await writeFile(file, text)
  }
  return new Promise((resolve) => {
    const env = {...process.env, CI: 'true', FORCE_COLOR: '0'}
    execFile(process.execPath, [script, ...words], {cwd: directory, env}, (error, stdout, stderr) => {
      resolve({code: Number(error?.code ?? 0), output: `${stdout}${stderr}`})
    })
  })
}

it('runs once what passes', async () => {
  const {code, output} = await runTests([passing, passing])
  expect({code, again: output.includes('second run')}).toEqual({code: 0, again: false})
})

it('passes what passes the second time, and names it', async () => {
  const {code, output} = await runTests([passing, failingOnce])
  expect(output).toContain('FLAKY: 1.test.js failed beside other tests')
  expect(output).toContain('expect(isSecond).toBe(true)')
  expect(code).toBe(0)
})

it('fails what fails twice, beside what does not too', async () => {
  const {code, output} = await runTests([failingOnce, failing])
  expect(output).toContain('A second run of what failed')
  expect(output).not.toContain('FLAKY')
  expect(code).toBe(1)
})

it('fails what is left out the second time', async () => {
  const skippedThen = failingOnce.replace(
    'it(',
    ";(require('node:fs').existsSync(__filename + '.mark') ? it.skip : it)(",
  )
  const {code, output} = await runTests([skippedThen])
  expect(output).toContain('1 skipped')
  expect(code).toBe(1)
})

it.each([
  ['a fuzzed target', {'test/fuzz/streams': failingOnce}, []],
  ['a process that was killed at some moment', {'test/lib/storage/durability': failingOnce}, []],
  ['tests that were named', [failingOnce], ['0.test.js']],
])('gives no second run to %s', async (_, files, words) => {
  const {code, output} = await runTests(files, words)
  expect({code, again: output.includes('second run')}).toEqual({code: 1, again: false})
})

it('fails at once where many fail', async () => {
  const {code, output} = await runTests([failingOnce, failingOnce, failingOnce, failingOnce])
  expect({code, again: output.includes('second run')}).toEqual({code: 1, again: false})
})

it.each([
  ['there is no test', []],
  ['a file cannot be read as a program', ['}']],
])('fails where %s', async (_, files) => {
  await expect(runTests(files)).resolves.toMatchObject({code: 1})
})
