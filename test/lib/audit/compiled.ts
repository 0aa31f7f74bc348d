import {mkdir, mkdtemp, readdir, symlink, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {dirname, join, relative, resolve} from 'node:path'
import {transformFile} from '@swc/core'

const root = resolve(import.meta.dirname, '../../..')

/** Compiles folders of this repository into a temporary directory, for programs that run in a process of their own. */
export async function compile(folders: readonly string[]): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-compiled-'))
  await writeFile(join(directory, 'package.json'), '{"type": "module"}')
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'))
  for (const folder of folders) {
    for (const file of await readdir(join(root, folder))) {
      if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue
      const source = join(root, folder, file)
      const {code} = await transformFile(source, {
        jsc: {parser: {syntax: 'typescript'}, target: 'es2022'},
        module: {type: 'es6'},
      })
      const target = join(directory, relative(root, source)).replace(/\.ts$/, '.js')
      await mkdir(dirname(target), {recursive: true})
      await writeFile(target, code)
    }
  }
  return directory
}
