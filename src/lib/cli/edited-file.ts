import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {PosternError} from '../core/errors.js'
import {runProgram} from './program.js'
import {isInteractive} from './terminal.js'

/** Read in this order; the last is on every system. */
const editorVariables = ['POSTERN_EDITOR', 'VISUAL', 'EDITOR'] as const
const usualEditor = 'vi'
const privateFile = 0o600

/** A text that somebody edits, in a directory that only they can read. */
export class EditedFile {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  static async create(name: string, text: string): Promise<EditedFile> {
    const directory = await mkdtemp(join(tmpdir(), 'postern-edit-'))
    const path = join(directory, name)
    await writeFile(path, text, {mode: privateFile})
    return new EditedFile(path)
  }

  /** Opens the editor and waits for its end. @throws PosternError FAILED, USAGE when there is no terminal for the usual one */
  async edit(variables: NodeJS.ProcessEnv = process.env): Promise<void> {
    const named = editorVariables.map((name) => variables[name]?.trim()).find(Boolean)
    if (named === undefined && !isInteractive()) {
      throw new PosternError('USAGE', `There is no terminal for ${usualEditor}, and no other editor is named.`, {
        hint: 'Name one in EDITOR, or change the file that `postern get` prints and give it to `postern update`.',
      })
    }
    const editor = named ?? usualEditor
    // As git does: the variable holds a command line, such as `code --wait`.
    const code = await runProgram('/bin/sh', ['-c', `${editor} "$1"`, 'sh', this.path], variables)
    if (code !== 0) throw new PosternError('FAILED', `The editor, ${editor}, ended with exit code ${code}.`)
  }

  read(): Promise<string> {
    return readFile(this.path, 'utf8')
  }

  async remove(): Promise<void> {
    await rm(dirname(this.path), {recursive: true, force: true})
  }
}
