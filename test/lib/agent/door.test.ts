import {PassThrough} from 'node:stream'
import type {TLSSocket} from 'node:tls'
import {describe, expect, it} from '@jest/globals'
import {Door, type DoorOptions} from '../../../src/lib/agent/door.js'
import type {Arrival} from '../../../src/lib/agent/entrance.js'
import {silentLogger} from '../../../src/lib/core/log.js'

/** Nobody gets so far that anything else is asked. */
const options = {counters: {cancelRequests: 0}} as DoorOptions

describe('The door', () => {
  it('A09: keeps the newest of those who finish the handshake of the direct route and say nothing, 256 of one address', async () => {
    const door = new Door(options)
    const sockets: PassThrough[] = []
    const receiving: Promise<unknown>[] = []
    const knock = (address: string): void => {
      const socket = new PassThrough()
      sockets.push(socket)
      const number = String(sockets.length)
      const arrival: Arrival = {
        socket: socket as unknown as TLSSocket,
        certificate: undefined,
        route: {kind: 'direct', database: 'example'},
        source: `${address}:${number}`,
        nonce: number,
      }
      receiving.push(door.receive({sid: number, arrival, logger: silentLogger}))
    }
    const closed = (): number[] => sockets.flatMap(({destroyed}, index) => (destroyed ? [index] : []))

    for (let count = 0; count < 256; count += 1) knock('192.0.2.1')
    knock('192.0.2.2')
    expect(closed()).toEqual([])
    knock('192.0.2.1')
    expect(closed()).toEqual([0])
    for (const socket of sockets) socket.destroy()
    expect(await Promise.all(receiving)).toEqual(sockets.map(() => undefined))
  })
})
