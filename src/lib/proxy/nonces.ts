import type {Socket} from 'node:net'
import {afterRunning} from '../core/running-time.js'
import {newNonce} from '../tunnel/preamble.js'

interface Expected {
  readonly deliver: (socket: Socket | undefined) => void
  readonly forget: () => void
}

/** The data connections that agents were told to open: each nonce is good for one connection and for a short time. */
export class Nonces {
  readonly #expected = new Map<string, Expected>()

  /** A new nonce; `deliver` gets its connection, or nothing when none came in time or it was cancelled. */
  issue(milliseconds: number, deliver: (socket: Socket | undefined) => void): string {
    const nonce = newNonce()
    const forget = afterRunning(milliseconds, () => this.claim(nonce, undefined))
    this.#expected.set(nonce, {deliver, forget})
    return nonce
  }

  /** Uses a nonce up. False when nobody waits for it: unknown, late, or used before. */
  claim(nonce: string, socket: Socket | undefined): boolean {
    const expected = this.#expected.get(nonce)
    if (!expected) return false
    this.#expected.delete(nonce)
    expected.forget()
    expected.deliver(socket)
    return true
  }
}
