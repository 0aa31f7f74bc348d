import {afterEach, beforeEach, expect, it} from '@jest/globals'
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {lockDataDirectory} from '../../../src/lib/cluster/data-directory-lock.js'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-lock-'))
})

afterEach(() => rm(directory, {recursive: true, force: true}))

const lockFile = (): string => join(directory, 'db.lock')

it('a second process on a data directory is refused by the name of the first; another service, or later, is not', async () => {
  const release = await lockDataDirectory(directory, 'db')
  await expect(lockDataDirectory(directory, 'db')).rejects.toMatchObject({
    code: 'CONFLICT',
    message: expect.stringContaining(`Process ${process.pid} `) as unknown as string,
    hints: [expect.stringContaining(`kill ${process.pid}`) as unknown as string],
  })
  const other = await lockDataDirectory(directory, 'proxy')
  await release()
  await (
    await lockDataDirectory(directory, 'db')
  )()
  await other()
  expect(await readdir(directory)).toEqual([])
})

it('the lock of a process that was killed is taken over', async () => {
  const child = spawn('sleep', ['60'])
  child.kill('SIGKILL')
  await once(child, 'exit')
  await writeFile(lockFile(), JSON.stringify({pid: child.pid, began: 'never'}))
  await lockDataDirectory(directory, 'db')
  expect(JSON.parse(await readFile(lockFile(), 'utf8'))).toMatchObject({pid: process.pid})
})

it('so is that of one that was killed and whose parent never asks how it ended', async () => {
  if (process.platform !== 'linux') return
  // The shell becomes a program that asks for no child.
  const parent = spawn('sh', ['-c', 'sleep 600 & echo $!; exec sleep 600'], {stdio: ['ignore', 'pipe', 'ignore']})
  try {
    const [line] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(line.toString())
    const status = async (): Promise<string[]> => (await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ')
    await writeFile(lockFile(), JSON.stringify({pid, began: (await status())[21]}))
    await expect(lockDataDirectory(directory, 'db')).rejects.toMatchObject({code: 'CONFLICT'})
    process.kill(pid, 'SIGKILL')
    while ((await status())[2] !== 'Z') await sleep(10)
    await lockDataDirectory(directory, 'db')
    expect(JSON.parse(await readFile(lockFile(), 'utf8'))).toMatchObject({pid: process.pid})
  } finally {
    parent.kill('SIGKILL')
  }
})

it('the lock of a process whose number belongs to another one now is taken over, where the system tells', async () => {
  await writeFile(lockFile(), JSON.stringify({pid: process.ppid, began: 'never'}))
  const taking = lockDataDirectory(directory, 'db')
  if (process.platform === 'linux') await taking
  else await expect(taking).rejects.toMatchObject({code: 'CONFLICT'})
})

it.each(['', 'rubbish', '{"pid":-1,"began":"1"}', 'null'])('a lock that says %j is nobody’s', async (text) => {
  await writeFile(lockFile(), text)
  await lockDataDirectory(directory, 'db')
  expect(JSON.parse(await readFile(lockFile(), 'utf8'))).toMatchObject({pid: process.pid})
})
