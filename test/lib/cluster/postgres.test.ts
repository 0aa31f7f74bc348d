import {expect, it} from '@jest/globals'
import {access, mkdtemp, readdir, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {startPostgres} from '../../../src/lib/cluster/postgres.js'

it('is a real server that runs SQL, and leaves nothing when it stops', async () => {
  const postgres = await startPostgres({durable: false})
  expect(await postgres.execute('SELECT 1 AS one; SELECT 2 AS two')).toEqual([{two: 2}])
  await expect(postgres.execute('SELECT no_such_column')).rejects.toMatchObject({code: 'FAILED'})
  const sockets = postgres.superuserSocketDir
  await access(sockets)
  await postgres.stop()
  await expect(access(sockets)).rejects.toMatchObject({code: 'ENOENT'})
  await expect(postgres.execute('SELECT 1')).rejects.toMatchObject({code: 'FAILED'})
})

it('says what to install when its binaries are not there', async () => {
  const binaries = await mkdtemp(join(tmpdir(), 'postern-empty-'))
  try {
    await expect(startPostgres({binaries, durable: false})).rejects.toMatchObject({name: 'PosternError'})
    expect(await readdir(binaries)).toEqual([])
  } finally {
    await rm(binaries, {recursive: true})
  }
})
