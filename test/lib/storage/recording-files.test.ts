import {appendFile, mkdtemp, readdir, readFile, rm, stat, truncate} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, it, jest} from '@jest/globals'
import {RecordingFiles, type RecordLine, type Sealer} from '../../../src/lib/storage/recording-files.js'
import {onSync} from '../../helpers/syncs.js'

const session = '307b49d6-56c7-4d20-8cf0-5bc5348a7101'
const head = '{"recording":1,"server_id":"a"}'
/** Seals that say how many records there are. */
const sealer: Sealer<number> = {
  isSeal: (line) => line.startsWith('seal '),
  begin: () => 0,
  resume: (seal) => Number(seal.slice(5)),
  seal: (state, lines) => ({line: `seal ${state + lines.length}`, state: state + lines.length}),
}
let directory: string
let files: RecordingFiles

beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'postern-recordings-')), 'recordings')
  files = await RecordingFiles.open(directory, sealer)
})

afterEach(async () => {
  jest.restoreAllMocks()
  await rm(join(directory, '..'), {recursive: true})
})

const record = (ei: number, text = 'x'): RecordLine => ({ei, line: JSON.stringify({ei, text})})
const records = (...indexes: number[]): RecordLine[] => indexes.map((ei) => record(ei))
const path = (): string => join(directory, `${session}.ndjson`)
const everything = async (): Promise<string[]> => (await readFile(path(), 'utf8')).trimEnd().split('\n')
const written = async (): Promise<string[]> => (await everything()).filter((line) => !sealer.isSeal(line))
const seals = async (): Promise<string[]> => (await everything()).filter((line) => sealer.isSeal(line))
const lines = (...indexes: number[]): string[] => [head, ...indexes.map((ei) => record(ei).line)]

describe('RecordingFiles', () => {
  it('appends in order, and leaves out what is there already', async () => {
    expect(await files.append(session, head, records(0, 1))).toEqual([])
    expect(await files.append(session, head, records(0, 1, 2, 3))).toEqual([])
    expect(await written()).toEqual(lines(0, 1, 2, 3))
    expect((await stat(path())).mode & 0o777).toBe(0o600)
  })

  it('appends side by side as one after the other', async () => {
    await Promise.all([0, 1, 2, 3, 4].map((ei) => files.append(session, head, records(ei))))
    expect(await written()).toEqual(lines(0, 1, 2, 3, 4))
  })

  it('goes on after a restart, behind a line that a crash tore', async () => {
    await files.append(session, head, records(0, 1))
    await appendFile(path(), '{"ei":2,"te')
    const again = await RecordingFiles.open(directory, sealer)
    expect(await again.append(session, head, records(1, 2))).toEqual([])
    expect(await written()).toEqual(lines(0, 1, 2))
  })

  it('goes on where a crash left no more than a part of the head', async () => {
    await files.append(session, head, records(0))
    await truncate(path(), 5)
    const again = await RecordingFiles.open(directory, sealer)
    await again.append(session, head, records(0))
    expect(await written()).toEqual(lines(0))
  })

  it('tells another record in the same place, and keeps the first', async () => {
    await files.append(session, head, [record(0), record(1, 'y'.repeat(200_000)), record(2)])
    expect(await files.append(session, head, [record(0), record(1, 'forged'), record(2), record(3)])).toEqual([1])
    expect(await written()).toHaveLength(5)
    expect((await written())[4]).toBe(record(3).line)
  })

  it('is sealed behind each append, also records that a crash kept from it', async () => {
    await files.append(session, head, records(0, 1))
    await files.append(session, head, records(1))
    await files.append(session, head, records(2))
    expect(await seals()).toEqual(['seal 2', 'seal 3'])
    await appendFile(path(), `${record(3).line}\n${record(4).line}\nseal`)
    const again = await RecordingFiles.open(directory, sealer)
    await again.append(session, head, records(3, 4))
    expect((await everything()).slice(-2)).toEqual([record(4).line, 'seal 5'])
    expect(again.sealed(session)).toBe(5)
    await again.append(session, head, records(5))
    expect((await seals()).at(-1)).toBe('seal 6')
  })

  it('writes what could not be synced once more, since the disk may have forgotten it', async () => {
    let fails = true
    await onSync(() => {
      if (fails) throw new Error('i/o error')
    })
    await expect(files.append(session, head, records(0))).rejects.toThrow('i/o error')
    expect((await stat(path())).size).toBe(0)
    fails = false
    await files.append(session, head, records(0, 1))
    const whole = await everything()
    fails = true
    await expect(files.append(session, head, records(2))).rejects.toThrow('i/o error')
    expect(await everything()).toEqual(whole)
    fails = false
    await files.append(session, head, records(2, 3))
    expect(await written()).toEqual(lines(0, 1, 2, 3))
    expect(await seals()).toEqual(['seal 2', 'seal 4'])
  })

  it('belongs to whoever began it', async () => {
    const other = head.replace('"a"', '"b"')
    expect(await files.accepts(session, other)).toBe(true)
    await files.append(session, head, records(0))
    for (const each of [files, await RecordingFiles.open(directory, sealer)]) {
      expect([await each.accepts(session, head), await each.accepts(session, other)]).toEqual([true, false])
      await expect(each.append(session, other, records(1))).rejects.toMatchObject({code: 'CONFLICT'})
    }
    expect(await written()).toEqual(lines(0))
  })

  it('gives what is whole, with its first and its last record', async () => {
    expect(await files.get(session)).toBeUndefined()
    const long = record(1, 'z'.repeat(300_000))
    await files.append(session, head, [record(0), long])
    await appendFile(path(), '{"torn"')
    const stored = await files.get(session)
    expect(stored).toMatchObject({head, first: record(0).line, last: long.line})
    const chunks = await stored?.read().toArray()
    expect(Buffer.concat((chunks ?? []) as Buffer[]).toString()).toBe(
      `${head}\n${record(0).line}\n${long.line}\nseal 2\n`,
    )
  })

  it('does not go on behind a damaged record, so that nothing is written twice', async () => {
    await files.append(session, head, records(0))
    await appendFile(path(), 'damaged\n')
    const again = await RecordingFiles.open(directory, sealer)
    await expect(again.append(session, head, records(0, 1))).rejects.toMatchObject({code: 'CONFLICT'})
  })

  it('takes no name for a file but an id', async () => {
    await expect(files.append('../../elsewhere', head, records(0))).rejects.toMatchObject({code: 'INVALID'})
    await expect(files.get(`${session}/..`)).rejects.toMatchObject({code: 'INVALID'})
    expect(await readdir(directory)).toEqual([])
  })
})
