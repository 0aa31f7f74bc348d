import {readFile} from 'node:fs/promises'
import {text} from 'node:stream/consumers'
import {messageOf, PosternError} from '../core/errors.js'
import {isInteractive} from './terminal.js'

/** The text of a file, or of standard input without one. @throws PosternError NOT_FOUND, FAILED, USAGE */
export async function readResourceText(file: string | undefined): Promise<string> {
  if (file === undefined) {
    if (isInteractive()) process.stderr.write('Reading from the terminal; Ctrl-D ends the input.\n')
    return text(process.stdin)
  }
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw isMissing
      ? new PosternError('NOT_FOUND', `There is no file ${file}.`, {cause: error})
      : new PosternError('FAILED', `${file} cannot be read: ${messageOf(error)}.`, {cause: error})
  }
}
