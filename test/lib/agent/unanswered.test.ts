import {beforeEach, describe, expect, it} from '@jest/globals'
import {setFlagsFromString} from 'node:v8'
import {runInNewContext} from 'node:vm'
import {Unanswered} from '../../../src/lib/agent/unanswered.js'

let unanswered: Unanswered

beforeEach(() => {
  unanswered = new Unanswered()
})

describe('which statement an answer belongs to', () => {
  it('each command of a simple query answers the query, until ReadyForQuery', () => {
    unanswered.query(1)
    unanswered.query(2)
    expect([unanswered.completed(), unanswered.completed(), unanswered.failed()]).toEqual([1, 1, 1])
    unanswered.ready()
    expect(unanswered.completed()).toBe(2)
  })

  it('each execution is answered once', () => {
    unanswered.execute(1)
    unanswered.execute(2)
    unanswered.sync()
    unanswered.query(3)
    expect([unanswered.completed(), unanswered.completed()]).toEqual([1, 2])
    unanswered.ready()
    expect(unanswered.completed()).toBe(3)
  })

  it('after an error the server skips to the next Sync, whether it was sent or not', () => {
    unanswered.execute(1)
    unanswered.execute(2)
    unanswered.sync()
    unanswered.execute(3)
    expect(unanswered.failed()).toBe(1)
    unanswered.ready()
    expect(unanswered.failed()).toBe(3)
    unanswered.execute(4)
    unanswered.query(5)
    unanswered.sync()
    unanswered.query(6)
    unanswered.ready()
    expect(unanswered.completed()).toBe(6)
  })

  it('an error of a Parse without an Execute answers none', () => {
    unanswered.sync()
    unanswered.query(1)
    expect(unanswered.failed()).toBeUndefined()
    unanswered.ready()
    expect(unanswered.completed()).toBe(1)
  })

  it.each([
    ['its data follows what was asked', false],
    ['its data was sent in advance', true],
  ])('a Sync inside a COPY gets no answer, when %s', (_case, early) => {
    unanswered.execute(1)
    unanswered.sync()
    if (!early) unanswered.copyBegan()
    unanswered.sync()
    unanswered.copyEnded()
    unanswered.sync()
    unanswered.query(2)
    if (early) unanswered.copyBegan()
    expect(unanswered.completed()).toBe(1)
    unanswered.ready()
    expect(unanswered.completed()).toBe(2)
  })

  it('the end of a COPY that had failed by itself means nothing', () => {
    unanswered.execute(1)
    unanswered.copyBegan()
    expect(unanswered.failed()).toBe(1)
    unanswered.copyEnded()
    unanswered.sync()
    unanswered.query(2)
    unanswered.ready()
    expect(unanswered.completed()).toBe(2)
  })

  it('a function call has no result, and its error answers no statement', () => {
    unanswered.functionCall()
    unanswered.query(1)
    expect(unanswered.failed()).toBeUndefined()
    unanswered.ready()
    expect(unanswered.completed()).toBe(1)
  })

  it('goes on for ever', () => {
    for (let event = 0; event < 10_000; event += 1) {
      unanswered.execute(event)
      unanswered.sync()
      unanswered.execute(-event)
      expect(unanswered.completed()).toBe(event)
      unanswered.ready()
      expect(unanswered.completed()).toBe(-event)
    }
  })

  it.each<[string, (event: number) => void]>([
    [
      'executes without a Sync',
      (event) => {
        unanswered.execute(event)
        same(unanswered.completed(), event)
      },
    ],
    [
      'executes without a Sync and ends a COPY that never began',
      (event) => {
        unanswered.execute(event)
        unanswered.copyEnded()
        same(unanswered.completed(), event)
      },
    ],
    [
      'ends a COPY where there is none',
      () => {
        unanswered.copyEnded()
      },
    ],
  ])('holds nothing of a client that %s', (_what, step) => {
    const before = heapBytes()
    for (let event = 0; event < 2_000_000; event += 1) step(event)
    expect(heapBytes() - before).toBeLessThan(4_000_000)
    unanswered.sync()
    unanswered.ready()
  })
})

/** Two million calls of `expect` take longer than what they watch. */
function same(found: number | undefined, event: number): void {
  if (found !== event) throw new Error(`answered ${String(found)}, not ${event}`)
}

function heapBytes(): number {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
  return process.memoryUsage().heapUsed
}
