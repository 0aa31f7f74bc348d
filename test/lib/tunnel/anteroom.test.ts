import type {Socket} from 'node:net'
import {afterEach, describe, expect, it} from '@jest/globals'
import {Anteroom} from '../../../src/lib/tunnel/anteroom.js'
import {closeOpened, socketPair, until} from './sockets.js'

afterEach(closeOpened)

async function connections(count: number): Promise<Socket[]> {
  const pairs = await Promise.all(Array.from({length: count}, () => socketPair()))
  return pairs.map(({far}) => far)
}

/** Who of them is still there. */
const open = (sockets: readonly Socket[]): boolean[] => sockets.map(({destroyed}) => !destroyed)

describe('A09: an anteroom', () => {
  it('closes the oldest connection of an address that has too many, and no one else’s', async () => {
    const room = new Anteroom({total: 10, perAddress: 2})
    const [honest, ...crowd] = await connections(5)
    if (honest) room.enter('honest', honest, 'a')
    for (const [index, socket] of crowd.entries()) room.enter(`crowd ${index}`, socket, 'b')
    expect(honest?.destroyed).toBe(false)
    expect(open(crowd)).toEqual([false, false, true, true])
  })

  it('closes the oldest connection of all when all are too many', async () => {
    const room = new Anteroom({total: 2, perAddress: 2})
    const sockets = await connections(3)
    for (const [index, socket] of sockets.entries()) room.enter(`${index}`, socket, `address ${index}`)
    expect(open(sockets)).toEqual([false, true, true])
  })

  it('counts nobody who has left or is gone', async () => {
    const room = new Anteroom({total: 2, perAddress: 1})
    const [left, gone, next, last] = (await connections(4)) as [Socket, Socket, Socket, Socket]
    room.enter('left', left, 'a')
    room.leave('left')
    room.enter('gone', gone, 'a')
    gone.destroy()
    await until(() => gone.closed)
    room.enter('next', next, 'a')
    room.enter('last', last, 'b')
    expect(open([left, next, last])).toEqual([true, true, true])
    room.close()
    expect(open([left, next, last])).toEqual([true, false, false])
  })

  it('keeps a connection under a name that an earlier one had', async () => {
    const room = new Anteroom({total: 1, perAddress: 1})
    const [first, second, third] = (await connections(3)) as [Socket, Socket, Socket]
    room.enter('name', first, 'a')
    room.enter('name', second, 'a')
    expect(first.destroyed).toBe(true)
    await until(() => first.closed)
    room.enter('other', third, 'a')
    expect(second.destroyed).toBe(true)
  })
})
