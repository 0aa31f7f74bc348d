import {describe, expect, it} from '@jest/globals'
import {Turns} from '../../../src/lib/tunnel/turns.js'

const chunk = 64 * 1024
/** No session of an earlier test is a neighbour any more. */
let now = 0

/** Chunks that a session moves up to the first pause. */
function chunksPerTurn(session: Turns, at: number): number {
  for (let chunks = 1; chunks <= 100; chunks += 1) if (session.spend(chunk, at)) return chunks
  throw new Error('it never pauses')
}

describe('a session pauses', () => {
  it('after 1 MiB while it is alone, whichever direction the bytes take', () => {
    now += 10_000
    const session = new Turns()
    expect(chunksPerTurn(session, now)).toBe(16)
    expect(chunksPerTurn(session, now + 5000)).toBe(16)
  })

  it('after 64 KiB while another one is busy, and for a second after that', () => {
    now += 10_000
    const bulk = new Turns()
    const other = new Turns()
    expect(bulk.spend(chunk, now)).toBe(false)
    other.spend(1, now)
    expect(chunksPerTurn(bulk, now)).toBe(1)
    expect(chunksPerTurn(bulk, now + 999)).toBe(1)
    expect(chunksPerTurn(bulk, now + 1000)).toBe(16)
  })

  it('and so do both of two bulk transfers', () => {
    now += 10_000
    const [one, other] = [new Turns(), new Turns()]
    chunksPerTurn(one, now)
    for (let round = 1; round < 5; round += 1) {
      expect(chunksPerTurn(other, now + round)).toBe(1)
      expect(chunksPerTurn(one, now + round)).toBe(1)
    }
  })
})
