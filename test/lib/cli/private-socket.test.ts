import {expect, it} from '@jest/globals'
import {stat} from 'node:fs/promises'
import {makePrivateSocket} from '../../../src/lib/cli/private-socket.js'

it('D09: the socket of `db connect` is in a directory that only its user can enter, another one each time', async () => {
  const [one, other] = [await makePrivateSocket(), await makePrivateSocket()]
  try {
    const {mode, uid} = await stat(one.directory)
    expect({mode: mode & 0o777, uid}).toEqual({mode: 0o700, uid: process.getuid?.()})
    expect(one.directory).not.toBe(other.directory)
  } finally {
    await one.remove()
    await other.remove()
  }
})
