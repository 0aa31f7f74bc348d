/** The server's side of a session after sign-in, walked by headers; only what the relay asks for is opened. */
import {FrameWalker, type FrameRule, type FrameRules} from './frames.js'
import {backend} from './message-types.js'

/** The server's lengths are signed, and libpq takes any; nothing is ever allocated from them. */
const maximumLength = 0x7fff_ffff

/** What the walker counts of a server: opening each of these would cost more than what they say. */
export const counters = {
  parseComplete: 1,
  bindComplete: 2,
  closeComplete: 3,
  noData: 4,
  dataRow: 5,
  copyData: 6,
  notification: 7,
} as const

const counterOf: ReadonlyMap<number, number> = new Map([
  [backend.parseComplete, counters.parseComplete],
  [backend.bindComplete, counters.bindComplete],
  [backend.closeComplete, counters.closeComplete],
  [backend.noData, counters.noData],
  [backend.dataRow, counters.dataRow],
  [backend.copyData, counters.copyData],
  [backend.notificationResponse, counters.notification],
])

/** By what is wanted, so that sessions which want the same share what follows from it. */
const rules = new WeakMap<readonly number[], FrameRules['ruleOf']>()

function ruleOf(wanted: readonly number[]): FrameRules['ruleOf'] {
  const known = rules.get(wanted)
  if (known) return known
  const rule = (type: number): FrameRule => ({
    maximumLength,
    report: wanted.includes(type) ? 'capture' : 'skip',
    counter: counterOf.get(type) ?? 0,
  })
  rules.set(wanted, rule)
  return rule
}

/**
 * A walker for what a server sends, which visits the wanted types with at most `captureBytes` of their payload. A type we
 * do not know passes: newer servers and poolers may have some, and the client is who must understand it.
 */
export function walkServer(wanted: readonly number[], captureBytes = 65_536): FrameWalker {
  return new FrameWalker({sender: 'server', captureBytes, ruleOf: ruleOf(wanted)})
}
