import {it} from '@jest/globals'
import fc, {type IAsyncProperty, type IProperty, type Parameters} from 'fast-check'

/** What is fuzzed, and by how many properties, which share its time; those of `more` have a little each. */
const targets = {
  startup: 3,
  'client stream': 3,
  'server stream': 3,
  options: 1,
  endpoints: 1,
  'label expressions': 1,
  more: 4,
} as const
type Target = keyof typeof targets

/** For each target: POSTERN_FUZZ_SECONDS, which `npm run fuzz` sets to 60; 15 in CI, and little elsewhere. */
const seconds = Number(process.env.POSTERN_FUZZ_SECONDS ?? (process.env.CI === 'true' ? 15 : 3))
const mostForMore = 6
/** The same inputs each time, as far as the time suffices, for whoever changes something; POSTERN_FUZZ_SEED=random makes up others. */
const seed = process.env.POSTERN_FUZZ_SEED === 'random' ? undefined : Number(process.env.POSTERN_FUZZ_SEED ?? 11)

/**
 * Tries a property until its time is up: first the examples, then what fast-check makes up. A failure names its seed and
 * the smallest input that was found to fail.
 */
export function fuzz<T>(
  target: Target,
  title: string,
  property: IProperty<T> | IAsyncProperty<T>,
  examples: T[] = [],
): void {
  const share = (target === 'more' ? Math.min(seconds, mostForMore) : seconds) / targets[target]
  const options: Parameters<T> = {
    examples,
    numRuns: 10_000_000,
    ...(seed === undefined ? {} : {seed}),
    plugins: [fc.interruptAfterTimeLimit(share * 1000)] as unknown as NonNullable<Parameters<T>['plugins']>,
  }
  const attempt = async (): Promise<void> => {
    await fc.assert(property, options)
  }
  it(`F11 ${target}: ${title}`, attempt, share * 1000 + 120_000)
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
