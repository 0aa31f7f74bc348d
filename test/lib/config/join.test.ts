import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {readStaticToken, resolvePins, resolveToken, tokenSource} from '../../../src/lib/config/join.js'

let directory = ''

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'join-'))
})

afterAll(async () => {
  await rm(directory, {recursive: true, force: true})
})

describe('the join token', () => {
  it('is what is written, or what its file holds', async () => {
    const path = join(directory, 'token')
    await writeFile(path, 'abc123\n')
    expect((await resolveToken({joinToken: tokenSource('literal')}))?.reveal()).toBe('literal')
    expect((await resolveToken({joinToken: tokenSource(path)}))?.reveal()).toBe('abc123')
    await expect(resolveToken({})).resolves.toBeUndefined()
  })

  it('has a file that is there and not empty', async () => {
    const path = join(directory, 'empty')
    await writeFile(path, ' \n')
    await expect(resolveToken({joinToken: {path}})).rejects.toMatchObject({
      code: 'INVALID',
      message: `The join token file ${path} is empty.`,
    })
    await expect(resolveToken({joinToken: {path: '/nowhere/token'}})).rejects.toMatchObject({
      code: 'INVALID',
      message: 'The join token file /nowhere/token does not exist.',
    })
    await expect(resolveToken({joinToken: {path: directory}})).rejects.toMatchObject({
      message: expect.stringMatching(/cannot be read/),
    })
  })

  it('may be one of the control plane itself', () => {
    expect(readStaticToken('Db, proxy:a:b')).toMatchObject({roles: ['Db', 'Proxy'], source: {token: {}}})
    expect(readStaticToken('discovery:/etc/token')).toEqual({roles: ['Discovery'], source: {path: '/etc/token'}})
    for (const text of ['', 'db', 'db:', ':token', 'node:token', 'db,node:token'])
      expect(readStaticToken(text)).toBeUndefined()
  })
})

describe('the CA pins', () => {
  it('are what is written and what files hold', async () => {
    const path = join(directory, 'pins')
    await writeFile(path, 'sha256:bb\nsha256:cc\n')
    await expect(resolvePins({caPins: ['sha256:aa', path]})).resolves.toEqual(['sha256:aa', 'sha256:bb', 'sha256:cc'])
    await expect(resolvePins({caPins: ['/nowhere/pin']})).rejects.toMatchObject({
      message: 'The CA pin file /nowhere/pin does not exist.',
    })
  })
})
