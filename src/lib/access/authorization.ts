import {PosternError} from '../core/errors.js'
import type {Allowed} from './decision.js'

/**
 * Proof that a decision allowed a connection. The agent's dialer takes nothing else, and only an allowed Decision makes
 * one.
 */
export class Authorization {
  readonly decision: Allowed
  #spent = false

  private constructor(decision: Allowed) {
    this.decision = decision
  }

  static from(decision: Allowed): Authorization {
    return new Authorization(decision)
  }

  /** For one connection only. @throws PosternError INTERNAL the second time */
  spend(): Allowed {
    if (this.#spent) throw new PosternError('INTERNAL', 'An authorization opens one connection only.')
    this.#spent = true
    return this.decision
  }
}
