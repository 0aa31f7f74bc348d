import {describe, expect, it} from '@jest/globals'
import {SharedRuns} from '../../../src/lib/core/shared-runs.js'

/** Runs that the test ends. */
function started(): {runs: SharedRuns; ends: ((error?: Error) => void)[]} {
  const ends: ((error?: Error) => void)[] = []
  const runs = new SharedRuns(
    () =>
      new Promise((resolve, reject) => {
        ends.push((error) => {
          if (error) reject(error)
          else resolve()
        })
      }),
  )
  return {runs, ends}
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('shared runs', () => {
  it('serve all who come together, and one that comes later by the next', async () => {
    const {runs, ends} = started()
    const told: string[] = []
    const ask = (name: string): Promise<number> => runs.run().then(() => told.push(name))
    const first = [ask('a'), ask('b')]
    await turn()
    expect(ends).toHaveLength(1)
    const second = [ask('c'), ask('d')]
    await turn()
    expect(ends).toHaveLength(1)
    ends[0]?.()
    await Promise.all(first)
    await turn()
    expect(told).toEqual(['a', 'b'])
    expect(ends).toHaveLength(2)
    ends[1]?.()
    await Promise.all(second)
    expect(told).toEqual(['a', 'b', 'c', 'd'])
  })

  it('go on after one that failed, which only those who asked for it hear of', async () => {
    const {runs, ends} = started()
    const first = runs.run()
    await turn()
    const second = runs.run()
    ends[0]?.(new Error('no disk'))
    await expect(first).rejects.toThrow('no disk')
    await turn()
    ends[1]?.()
    await expect(second).resolves.toBeUndefined()
  })
})
