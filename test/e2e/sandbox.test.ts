import {expect, it} from '@jest/globals'
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {cleanEnvironment, runShell} from '../helpers/cli.js'

/**
 * `sandbox up` prints the rest of a guide. Here a shell runs what it prints; changed is only what a person would type:
 * the URL of the invitation, passwords, and what to do in psql.
 */
const asTyped = (steps: string): string => `
set -e -m
trap 'kill -- -$agent' EXIT
${steps
  .replace(/^\(set -a; .*\) &$/m, '$& agent=$!')
  .replace(/^postern users add .*$/m, "URL=$($& | grep -o 'https://[^ ]*/invite/[^ ]*' | head -n 1)")
  .replace(/^postern invite accept (.*) URL$/m, 'echo correct-horse | postern invite accept $1 --password-stdin "$URL"')
  .replace(/^postern login .*$/m, 'echo correct-horse | $& --password-stdin')
  .replace(/^postern db ls$/m, 'until $& | grep database-name; do sleep 0.1; done')
  // The agent hears of alice a moment after the control plane does: until then psql ends with 2.
  .replace(
    /^postern db connect .*$/gm,
    "until $& -- -Atc 'select current_user, count(*) from products'; do [ $? = 2 ]; sleep 0.1; done",
  )}
`

interface Up {
  readonly steps: string
  readonly stop: () => Promise<number | null>
}

async function sandboxUp(guide: string, directory: string): Promise<Up> {
  const words = [resolve('bin/run.js'), 'sandbox', 'up', `--guide=${guide}`, `--dir=${directory}`]
  const child = spawn(process.execPath, words, {env: cleanEnvironment()})
  const exited = once(child, 'exit') as Promise<[number | null]>
  let output = ''
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  await new Promise<void>((ready, failed) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.includes('ends with Ctrl-C')) ready()
    })
    void exited.then(() => {
      failed(new Error(errors))
    })
  })
  const stop = async (): Promise<number | null> => {
    child.kill('SIGINT')
    const [code] = await exited
    return code
  }
  return {steps: output.slice(output.indexOf('# A token'), output.indexOf('The sandbox ends')), stop}
}

it.each([
  ['aurora', 'aurora', ['alice|10']],
  ['rds-proxy', 'rds-proxy', ['alice|10']],
  ['redshift', 'my-redshift', ['alice|10', 'IAMR:redshift-user-role|10']],
])('sandbox up --guide %s: the steps it prints lead to the database', async (guide, database, rows) => {
  const directory = await mkdtemp(join(tmpdir(), 'postern-sandbox-'))
  const up = await sandboxUp(guide, directory)
  try {
    const {code, stdout, stderr} = await runShell(asTyped(up.steps).replace('database-name', database))
    expect({code, stderr: code === 0 ? '' : stderr}).toEqual({code: 0, stderr: ''})
    expect(stdout.split('\n').filter((line) => /^[\w:-]+\|\d+$/.test(line))).toEqual(rows)
  } finally {
    expect(await up.stop()).toBe(0)
    await rm(directory, {recursive: true, force: true})
  }
})
