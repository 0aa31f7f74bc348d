import {X509Certificate} from 'node:crypto'
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, describe, expect, it} from '@jest/globals'
import {readRootsFile, systemRoots} from '../../../src/lib/pki/roots.js'
import {newAuthority} from './issued.js'

const directory = await mkdtemp(join(tmpdir(), 'postern-roots-'))
afterAll(() => rm(directory, {recursive: true}))

async function file(name: string, text: string): Promise<string> {
  const path = join(directory, name)
  await writeFile(path, text)
  return path
}

describe('readRootsFile', () => {
  it('gives all certificates of the file', async () => {
    const text = (await newAuthority()).certificate + (await newAuthority()).certificate
    expect(await readRootsFile(await file('two.pem', text))).toBe(text)
  })

  it('refuses a file that is not there', async () => {
    await expect(readRootsFile(join(directory, 'none.pem'))).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('none.pem cannot be read'),
    })
  })

  it.each(['', 'hello', '-----BEGIN PRIVATE KEY-----'])('refuses a file that holds %j', async (text) => {
    const path = await file('wrong.pem', text)
    await expect(readRootsFile(path)).rejects.toMatchObject({code: 'INVALID'})
  })
})

describe('systemRoots', () => {
  it('are those of the file when one is named', async () => {
    const {certificate} = await newAuthority()
    expect(await systemRoots(await file('one.pem', certificate))).toEqual([certificate])
  })

  it('are certificates of authorities otherwise', async () => {
    const [first = ''] = await systemRoots()
    expect(new X509Certificate(first).ca).toBe(true)
  })
})
