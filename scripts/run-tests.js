/**
 * Runs jest. Where all tests ran and only a few files failed, these get a second run by themselves: of thousands of tests with
 * real processes, ports and clocks one may lose a race that a busy machine opens. What passes then is named at the end, for
 * somebody to mend; what fails twice fails.
 */
import {spawn} from 'node:child_process'
import {mkdtemp, readFile, rm} from 'node:fs/promises'
import {createRequire} from 'node:module'
import {tmpdir} from 'node:os'
import {join, relative} from 'node:path'

/** More than this is no bad luck. */
const mostFiles = 3
/** Their inputs, or the moments at which they kill, are others each time: what they found they may not find again. */
const drawing = /\/test\/(fuzz\/|lib\/storage\/durability\.)/

const jest = join(createRequire(import.meta.url).resolve('jest/package.json'), '../bin/jest.js')
const flags = ['--experimental-vm-modules', '--no-warnings=ExperimentalWarning']
const env = {...process.env, NODE_OPTIONS: [process.env.NODE_OPTIONS, ...flags].filter(Boolean).join(' ')}

const words = process.argv.slice(2)
const directory = await mkdtemp(join(tmpdir(), 'postern-reports-'))
try {
  process.exitCode = words.length > 0 ? await run(words) : await runTwice()
} finally {
  await rm(directory, {recursive: true})
}

/** @returns the exit code */
async function runTwice() {
  const first = await runAndReport('first', [])
  const failed = first.files.filter(({status}) => status === 'failed').map(({name}) => name)
  if (first.code === 0 || failed.length === 0 || failed.length > mostFiles) return first.code
  if (failed.some((name) => drawing.test(name))) return first.code

  const names = failed.map((name) => relative('.', name)).join(', ')
  process.stderr.write(`\nA second run of what failed: ${names}\n\n`)
  const second = await runAndReport('second', ['--ci', '--runInBand', '--runTestsByPath', ...failed])
  const passes = second.files.filter(({assertionResults}) => assertionResults.every(({status}) => status === 'passed'))
  if (second.code !== 0 || passes.length < failed.length) return 1
  process.stderr.write(
    `\nFLAKY: ${names} failed beside other tests, and passed alone. The failures are printed above.\n`,
  )
  return 0
}

/** Jest's exit code, and what became of each file; of none where it did not come that far. */
async function runAndReport(name, options) {
  const file = join(directory, name)
  const code = await run([...options, '--json', `--outputFile=${file}`])
  const report = await readFile(file, 'utf8').then(JSON.parse, () => undefined)
  return {code, files: report?.testResults ?? []}
}

/** Jest's exit code; 1 where it was killed. It ends with us. */
async function run(options) {
  const child = spawn(process.execPath, [jest, ...options], {stdio: 'inherit', env})
  const pass = (signal) => child.kill(signal)
  process.on('SIGTERM', pass).on('SIGINT', pass)
  const code = await new Promise((resolve, reject) => child.once('exit', resolve).once('error', reject))
  process.off('SIGTERM', pass).off('SIGINT', pass)
  return code ?? 1
}
