import {execFile} from 'node:child_process'
import {lstat, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {promisify} from 'node:util'
import {afterEach, beforeEach, expect, it} from '@jest/globals'
import {writePrivateFile} from '../../../src/lib/config/private-file.js'
import {PosternError} from '../../../src/lib/core/errors.js'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-private-'))
})

afterEach(() => rm(directory, {recursive: true}))

async function* broken(): AsyncGenerator<Buffer> {
  yield await Promise.resolve(Buffer.from('one\n'))
  throw new PosternError('UNREACHABLE', 'It broke off.')
}

it('leaves the old file, and nothing else, when what is written into it breaks off', async () => {
  const file = join(directory, 'kept')
  await writeFile(file, 'old')
  // Somebody else's.
  await writeFile(`${file}.part`, 'mine')
  await expect(writePrivateFile(file, broken())).rejects.toMatchObject({code: 'UNREACHABLE', message: 'It broke off.'})
  expect(await readFile(file, 'utf8')).toBe('old')
  expect(await readFile(`${file}.part`, 'utf8')).toBe('mine')
  expect(await readdir(directory)).toHaveLength(2)
})

it('says which file cannot be written, and why', async () => {
  await writeFile(join(directory, 'file'), '')
  const file = join(directory, 'file', 'below')
  await expect(writePrivateFile(file, 'x')).rejects.toMatchObject({
    code: 'FAILED',
    message: expect.stringMatching(/\/file\/below cannot be written: .*(ENOTDIR|EEXIST)/),
  })
})

it('writes into a pipe, as into a device, and puts no file in its place', async () => {
  const pipe = join(directory, 'pipe')
  await promisify(execFile)('mkfifo', [pipe])
  const read = readFile(pipe, 'utf8')
  await writePrivateFile(pipe, 'through')
  expect((await lstat(pipe)).isFIFO()).toBe(true)
  expect(await read).toBe('through')
})
