import {expect, it} from '@jest/globals'
import {execFile} from 'node:child_process'
import {copyFile, mkdtemp, readFile, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {promisify} from 'node:util'

it("README's table of commands is the one that the manifest gives", async () => {
  const directory = await mkdtemp(join(tmpdir(), 'postern-readme-'))
  try {
    for (const file of ['README.md', 'oclif.manifest.json']) await copyFile(file, join(directory, file))
    await promisify(execFile)(process.execPath, [resolve('scripts/command-table.js')], {cwd: directory})
    expect(await readFile(join(directory, 'README.md'), 'utf8')).toBe(await readFile('README.md', 'utf8'))
  } finally {
    await rm(directory, {recursive: true})
  }
})
