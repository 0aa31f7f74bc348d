import {it} from '@jest/globals'
import fc, {type IAsyncProperty, type IProperty, type Parameters} from 'fast-check'

/** How long each property is tried: POSTERN_FUZZ_SECONDS, which `npm run fuzz` sets to 60; little in `npm test`. */
const seconds = Number(process.env.POSTERN_FUZZ_SECONDS ?? 2.5)

/**
 * Tries a property until the time is up: first the examples, then what fast-check makes up. A failure names its seed and
 * the smallest input that was found to fail.
 */
export function fuzz<T>(title: string, property: IProperty<T> | IAsyncProperty<T>, examples: T[] = []): void {
  const options: Parameters<T> = {
    examples,
    numRuns: 10_000_000,
    plugins: [fc.interruptAfterTimeLimit(seconds * 1000)] as unknown as NonNullable<Parameters<T>['plugins']>,
  }
  const attempt = async (): Promise<void> => {
    await fc.assert(property, options)
  }
  it(title, attempt, seconds * 1000 + 120_000)
}

/** The same bytes in pieces: each cut is a share of the whole. */
export function segments(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = cuts.map((cut) => Math.floor(cut * bytes.length)).sort((a, b) => a - b)
  return [0, ...places].map((start, index) => bytes.subarray(start, places[index] ?? bytes.length))
}

/** Where `segments` cuts. */
export const cuts = fc.array(fc.double({min: 0, max: 1, noNaN: true}), {maxLength: 12})

/** Changes to a sequence of bytes; `at` is a share of it. */
const change = fc.record({
  at: fc.double({min: 0, max: 1, noNaN: true}),
  drop: fc.oneof(fc.constant(0), fc.nat(6)),
  insert: fc.uint8Array({maxLength: 6}),
})
export type Change = typeof change extends fc.Arbitrary<infer T> ? T : never

/** Mostly none. */
export const changes = fc.oneof({weight: 3, arbitrary: fc.constant<Change[]>([])}, fc.array(change, {maxLength: 3}))

export function applyChanges(bytes: Buffer, list: readonly Change[]): Buffer {
  return list.reduce((result, {at, drop, insert}) => {
    const place = Math.floor(at * result.length)
    return Buffer.concat([result.subarray(0, place), insert, result.subarray(place + drop)])
  }, bytes)
}

/** Plain objects are as they were: nobody has written to their prototype (A10). */
export function prototypeIsClean(): boolean {
  return Object.keys(Object.prototype).length === 0 && !('polluted' in {})
}
