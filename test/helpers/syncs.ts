import {open, stat, type FileHandle} from 'node:fs/promises'
import {jest} from '@jest/globals'

/** Hears of each sync of this process by the number of its file, and may fail it; until mocks are restored. */
export async function onSync(hear: (inode: number) => void): Promise<void> {
  const handle = await open('.')
  const prototype = Object.getPrototypeOf(handle) as FileHandle
  await handle.close()
  const datasync = Object.getOwnPropertyDescriptor(prototype, 'datasync')?.value as () => Promise<void>
  jest.spyOn(prototype, 'datasync').mockImplementation(async function (this: FileHandle) {
    hear((await this.stat()).ino)
    await datasync.call(this)
  })
}

export const inodeOf = async (file: string): Promise<number> => (await stat(file)).ino
