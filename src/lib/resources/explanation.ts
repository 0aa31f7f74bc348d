import type {Labels} from '../core/labels.js'

/**
 * An access decision with everything that it looked at: what administrators read, what the audit keeps, and, about their
 * own roles, what users read. Spelled as events are, because it is part of one.
 */
export interface Explanation {
  readonly allowed: boolean
  readonly reason: DecisionReason
  /** One sentence for the user, about their own roles only. */
  readonly message: string
  readonly user: string
  readonly database: string
  /** The labels that were looked at. */
  readonly labels: Labels
  readonly db_user: string
  readonly db_name: string
  readonly db_roles: readonly string[]
  /** Name of the lock that decided. */
  readonly lock?: string
  /** The role that decided: that allows it, that forbids it, or that came nearest. */
  readonly role?: string
  /** Every role of the user, in their order. */
  readonly roles: readonly RoleFinding[]
}

export type DecisionReason = 'allowed' | 'lock' | 'deny-rule' | 'no-role'

/** What one role said. */
export interface RoleFinding {
  readonly role: string
  /** Whether there is such a role; one without a definition counts for nothing. */
  readonly defined: boolean
  readonly allow: SideFinding
  readonly deny: SideFinding
}

export interface SideFinding {
  readonly labels: LabelsFinding
  readonly user: EntriesFinding
  readonly name: EntriesFinding
  /** Of the database roles that were asked for: all of them in `allow`, any of them in `deny`. */
  readonly roles: EntriesFinding
}

/** What the label selector and the label expression of a role said. */
export interface LabelsFinding {
  readonly matched: boolean
  /** With the traits filled in; absent when the role has none. */
  readonly selector?: Readonly<Record<string, readonly string[]>>
  readonly expression?: string
  /** What did not hold: a key of the selector, or the expression. */
  readonly failed?: string
}

/** What a list of names in a role said. */
export interface EntriesFinding {
  readonly matched: boolean
  /** With the traits filled in. */
  readonly entries: readonly string[]
}
