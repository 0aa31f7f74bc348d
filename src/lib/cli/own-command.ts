import {spawn} from 'node:child_process'
import {PosternError} from '../core/errors.js'

export interface OwnCommandOptions {
  readonly environment: NodeJS.ProcessEnv
  /** Written to the command's standard input; without it the command shares this terminal. */
  readonly input?: string
}

/** Runs another command of this program as a person would, on this terminal; resolves with its exit code. */
export function runOwnCommand(words: readonly string[], {environment, input}: OwnCommandOptions): Promise<number> {
  const program = process.argv[1]
  if (program === undefined) throw new PosternError('INTERNAL', 'This program does not know where it is.')
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...words], {
      env: environment,
      stdio: [input === undefined ? 'inherit' : 'pipe', input === undefined ? 'inherit' : 'ignore', 'inherit'],
    })
    const ignoreInterrupt = (): void => undefined
    process.on('SIGINT', ignoreInterrupt)
    child.once('error', reject)
    child.once('exit', (code) => {
      process.off('SIGINT', ignoreInterrupt)
      resolve(code ?? 1)
    })
    child.stdin?.on('error', ignoreInterrupt).end(input)
  })
}
