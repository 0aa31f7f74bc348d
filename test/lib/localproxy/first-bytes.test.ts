import {afterEach, describe, expect, it} from '@jest/globals'
import {readUntil} from '../../../src/lib/localproxy/first-bytes.js'
import {closeOpened, socketPair} from '../tunnel/sockets.js'

afterEach(closeOpened)

const word = (bytes: Buffer): {answer: string; used: number} | undefined =>
  bytes.length < 5 ? undefined : {answer: bytes.toString('utf8', 0, 5), used: 5}

describe('the first bytes of a connection', () => {
  it('are judged when they came in time, however late this process gets to read them', async () => {
    const {near, far} = await socketPair()
    const read = readUntil(near, {bytes: 100, milliseconds: 200}, word)
    far.write('hello, world')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
    expect(await read).toBe('hello')
    expect(String(near.read())).toBe(', world')
  })

  it('are not waited for for ever', async () => {
    const {near, far} = await socketPair()
    far.write('hell')
    const read = readUntil(near, {bytes: 100, milliseconds: 50}, word)
    await expect(read).rejects.toThrow('The connection was silent for too long.')
  })
})
