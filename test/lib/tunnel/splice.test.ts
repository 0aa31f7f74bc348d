import {createHash, randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {readFile} from 'node:fs/promises'
import type net from 'node:net'
import {afterEach, describe, expect, it} from '@jest/globals'
import {splice, type SpliceCounts} from '../../../src/lib/tunnel/splice.js'
import {closeOpened, readAll, socketPair, until} from './sockets.js'

afterEach(closeOpened)

const mebibyte = 1024 * 1024

interface Spliced {
  /** The two outer ends. */
  readonly client: net.Socket
  readonly server: net.Socket
  /** The spliced ends. */
  readonly left: net.Socket
  readonly right: net.Socket
  readonly counts: Promise<SpliceCounts>
}

async function spliced(): Promise<Spliced> {
  const options = {allowHalfOpen: true}
  const [{near: client, far: left}, {near: right, far: server}] = await Promise.all([
    socketPair(options),
    socketPair(options),
  ])
  return {client, server, left, right, counts: splice(left, right)}
}

/** The timer of a connection as Linux shows it (`tr` and `tm->when` of proc(5) `net/tcp`): 2 is keepalive, in hundredths of a second. */
async function timerOf({localPort = 0, remotePort = 0}: net.Socket): Promise<{kind: number; hundredths: number}> {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0')
  for (;;) {
    const rows = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((row) => row.trim().split(/\s+/))
    const row = rows.find(
      ([, local, remote]) => local?.endsWith(`:${hex(localPort)}`) && remote?.endsWith(`:${hex(remotePort)}`),
    )
    const [kind, when] = row?.[5]?.split(':') ?? []
    // The list is read piece by piece: one that others change meanwhile may lack a row.
    if (kind !== undefined && when !== undefined) return {kind: parseInt(kind, 16), hundredths: parseInt(when, 16)}
  }
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

describe('splice', () => {
  it('probes an idle far end that may have vanished without a word: no answer, no error', async () => {
    const {left, right} = await spliced()
    // Elsewhere the system does not show it.
    if (process.platform !== 'linux') return
    for (const socket of [left, right]) {
      const {kind, hundredths} = await timerOf(socket)
      expect(kind).toBe(2)
      expect(hundredths).toBeLessThanOrEqual(3000)
    }
  })

  it('copies 10 MB both ways at once, intact, and counts them', async () => {
    const {client, server, counts} = await spliced()
    const up = randomBytes(10 * mebibyte)
    const down = randomBytes(10 * mebibyte + 1)
    const received = Promise.all([readAll(server), readAll(client)])
    client.end(up)
    server.end(down)
    const [atServer, atClient] = await received
    expect(digest(atServer)).toBe(digest(up))
    expect(digest(atClient)).toBe(digest(down))
    expect(await counts).toEqual({leftToRightBytes: up.length, rightToLeftBytes: down.length})
  })

  it('sends bytes that were put back first', async () => {
    const options = {allowHalfOpen: true}
    const [a, b] = await Promise.all([socketPair(options), socketPair(options)])
    a.near.write('second')
    const [bytes] = (await once(a.far, 'data')) as [Buffer]
    a.far.pause()
    a.far.unshift(bytes)
    a.far.unshift(Buffer.from('first '))
    void splice(a.far, b.near)
    a.near.end(' third')
    expect(String(await readAll(b.far))).toBe('first second third')
  })

  it('passes the end of one direction on while the other goes on', async () => {
    const {client, server, counts} = await spliced()
    client.end('question')
    expect(String(await readAll(server))).toBe('question')
    expect(client.readableEnded).toBe(false)
    const answer = readAll(client)
    server.write('a late ')
    server.end('answer')
    expect(String(await answer)).toBe('a late answer')
    expect(await counts).toEqual({leftToRightBytes: 8, rightToLeftBytes: 13})
  })

  it('closes one side when the other is reset', async () => {
    const {client, server, counts} = await spliced()
    const ended = readAll(server)
    client.resetAndDestroy()
    await counts
    expect((await ended).length).toBe(0)
  })

  it('delivers what was queued before a reset', async () => {
    const {client, server, left, right} = await spliced()
    const bytes = randomBytes(mebibyte / 2)
    client.write(bytes)
    await until(() => left.bytesRead === bytes.length)
    left.destroy(new Error('reset'))
    expect(digest(await readAll(server))).toBe(digest(bytes))
    server.destroy()
    await until(() => right.destroyed)
  })

  it('closes the pair when one side was closed before', async () => {
    const [a, b] = await Promise.all([socketPair(), socketPair()])
    a.far.destroy()
    await once(a.far, 'close')
    const counts = splice(a.far, b.near)
    expect(await once(b.far.resume(), 'close')).toEqual([false])
    expect(await counts).toEqual({leftToRightBytes: 0, rightToLeftBytes: 0})
  })

  it('queues little more than 1 MiB for a reader that stopped, and goes on when it reads again', async () => {
    const {client, server, left, right} = await spliced()
    const total = 40 * mebibyte
    let most = 0
    left.on('data', () => {
      most = Math.max(most, right.writableLength + left.readableLength)
    })
    client.end(Buffer.alloc(total, 7))
    server.pause()
    await until(() => right.writableLength > mebibyte)
    let before = -1
    // Until the client is held up as well.
    while (before !== left.bytesRead) {
      before = left.bytesRead
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    expect(left.bytesRead).toBeLessThan(total)
    expect(right.writableLength).toBeLessThan(mebibyte + 128 * 1024)
    const received = await readAll(server)
    expect(received.length).toBe(total)
    expect(most).toBeLessThan(mebibyte + 256 * 1024)
  })

  it('answers beside a bulk stream', async () => {
    const bulk = await spliced()
    const small = await spliced()
    small.server.on('data', (bytes: Buffer) => small.server.write(bytes))
    const blast = Buffer.alloc(64 * 1024)
    const go = (): void => {
      while (bulk.client.write(blast));
    }
    let received = 0
    bulk.server.on('data', (bytes: Buffer) => (received += bytes.length))
    bulk.client.on('drain', go)
    go()
    await until(() => received > 0)
    const before = received
    for (let round = 0; round < 50; round += 1) {
      small.client.write('ping')
      expect(String((await once(small.client, 'data'))[0])).toBe('ping')
    }
    await until(() => received > before)
  })
})
