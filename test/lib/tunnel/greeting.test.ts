import {afterEach, describe, expect, it} from '@jest/globals'
import {encodeGreeting, readGreeting} from '../../../src/lib/tunnel/greeting.js'
import {closeOpened, socketPair} from './sockets.js'

afterEach(closeOpened)

describe('the greeting of an agent', () => {
  it('is read when it came in time, however late this process gets to read it', async () => {
    const {near, far} = await socketPair()
    const greeting = readGreeting(near, 200)
    far.write(encodeGreeting({ok: true}))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
    expect(await greeting).toEqual({ok: true})
  })

  it('is not waited for for ever', async () => {
    const {near} = await socketPair()
    await expect(readGreeting(near, 50)).rejects.toThrow('The agent sent no greeting within 50 ms.')
  })
})
