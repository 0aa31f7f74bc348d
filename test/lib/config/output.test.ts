import {chmod, mkdtemp, readFile, rm, stat, symlink, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {parseOutput, writeNewFile} from '../../../src/lib/config/output.js'

let directory = ''

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'output-'))
})

afterEach(async () => {
  await rm(directory, {recursive: true, force: true})
})

const permissions = async (path: string): Promise<number> => (await stat(path)).mode & 0o777

describe('where output goes', () => {
  it.each([
    ['stdout', undefined],
    ['stdout://', undefined],
    ['file', '/etc/postern.yaml'],
    ['', '/etc/postern.yaml'],
    ['file:///srv/a%20b.yaml', '/srv/a b.yaml'],
    ['/srv/100%.yaml', '/srv/100%.yaml'],
  ])('%j', (output, path) => {
    expect(parseOutput(output)).toBe(path)
  })

  it('has its own default for other files', () => {
    expect(parseOutput('file', '/etc/systemd/system/postern.service')).toBe('/etc/systemd/system/postern.service')
  })

  it.each([
    ['file://etc/postern.yaml', /path is missing/],
    ['file://', /path is missing/],
    ['file:///a%2Fb', /path is not valid/],
    ['postern.yaml', /path is not absolute/],
    ['./postern.yaml', /path is not absolute/],
    ['s3://bucket/file', /not the scheme/],
  ])('is not %j', (output, message) => {
    expect(() => parseOutput(output)).toThrow(
      expect.objectContaining({code: 'USAGE', message: expect.stringMatching(message)}),
    )
  })
})

describe('writing a new file', () => {
  it('makes it private and its directory public', async () => {
    const path = join(directory, 'new', 'deeper', 'postern.yaml')
    await expect(writeNewFile(path, 'text\n')).resolves.toBe(path)
    await expect(readFile(path, 'utf8')).resolves.toBe('text\n')
    await expect(permissions(path)).resolves.toBe(0o600)
    expect((await permissions(join(directory, 'new'))) & 0o022).toBe(0)
  })

  it('takes a file URL', async () => {
    const path = join(directory, 'postern.yaml')
    await expect(writeNewFile(`file://${path}`, 'text')).resolves.toBe(path)
  })

  it('leaves stdout to the caller', async () => {
    await expect(writeNewFile('stdout', 'text')).resolves.toBeUndefined()
  })

  it('never touches what is there, not even through a dangling link', async () => {
    const path = join(directory, "it's there.yaml")
    await writeFile(path, 'old')
    await expect(writeNewFile(path, 'new')).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      hints: [`To replace it, remove it first: rm -f '${path.replaceAll("'", `'\\''`)}'`],
    })
    await expect(readFile(path, 'utf8')).resolves.toBe('old')
    const link = join(directory, 'link.yaml')
    await symlink(join(directory, 'target'), link)
    await expect(writeNewFile(link, 'new')).rejects.toMatchObject({
      hints: [`To replace it, remove it first: rm -f ${link}`],
    })
    await expect(readFile(join(directory, 'target'))).rejects.toMatchObject({code: 'ENOENT'})
  })

  it('names the directory that cannot be made, without proposing to remove it', async () => {
    const file = join(directory, 'file')
    await writeFile(file, '')
    await expect(writeNewFile(join(file, 'postern.yaml'), 'text')).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringContaining(`${file} cannot be written`),
      hints: [],
    })
  })

  it('tells who may not write', async () => {
    const locked = join(directory, 'locked')
    await writeNewFile(join(locked, 'first'), '')
    await chmod(locked, 0o555)
    const write = writeNewFile(join(locked, 'second'), 'text')
    // Permissions do not bind root.
    if (process.getuid?.() === 0) await expect(write).resolves.toBe(join(locked, 'second'))
    else await expect(write).rejects.toMatchObject({code: 'FAILED', message: expect.stringContaining('may not write')})
    await chmod(locked, 0o755)
  })
})
