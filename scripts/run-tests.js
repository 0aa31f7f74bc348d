/**
 * Runs jest with the given arguments. Where only a few files fail, each gets a second run of its own, with a processor to itself:
 * of thousands of tests with real processes, ports and clocks one may lose a race that a busy machine opens. Such a file is
 * named at the end, for somebody to mend; what fails twice fails.
 */
import {spawnSync} from 'node:child_process'
import {mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {createRequire} from 'node:module'
import {tmpdir} from 'node:os'
import {join, relative} from 'node:path'

/** More than this is no bad luck. */
const mostFiles = 3

const jest = join(createRequire(import.meta.url).resolve('jest/package.json'), '../bin/jest.js')
const flags = ['--experimental-vm-modules', '--no-warnings=ExperimentalWarning']
const env = {...process.env, NODE_OPTIONS: [process.env.NODE_OPTIONS, ...flags].filter(Boolean).join(' ')}

/** Jest's exit code, and its report; none where it did not come that far. */
function run(words) {
  const directory = mkdtempSync(join(tmpdir(), 'postern-tests-'))
  const file = join(directory, 'report.json')
  try {
    const {status} = spawnSync(process.execPath, [jest, ...words, '--json', `--outputFile=${file}`], {
      stdio: 'inherit',
      env,
    })
    return {code: status ?? 1, report: readReport(file)}
  } finally {
    rmSync(directory, {recursive: true})
  }
}

function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}

const first = run(process.argv.slice(2))
process.exitCode = first.code
const failed = (first.report?.testResults ?? []).filter(({status}) => status === 'failed').map(({name}) => name)
if (first.code !== 0 && failed.length > 0 && failed.length <= mostFiles) {
  const names = failed.map((name) => relative('.', name)).join(', ')
  process.stderr.write(`\nA second run of what failed: ${names}\n\n`)
  const second = run(['--runInBand', '--runTestsByPath', ...failed])
  if (second.code === 0 && second.report?.numPassedTestSuites === failed.length) {
    process.stderr.write(
      `\nFLAKY: ${names} failed beside other tests, and passed alone. The failures are printed above.\n`,
    )
    process.exitCode = 0
  }
}
