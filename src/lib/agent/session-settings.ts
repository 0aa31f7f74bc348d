import type {Selector} from '../access/selector.js'
import type {Database} from '../resources/database.js'
import type {Address} from '../resources/endpoint.js'
import type {AwsRules} from './aws-databases.js'
import type {Self} from './session-facts.js'

/** What decides about sessions and does not change: plain data, because workers get it in a message. */
export interface SessionSettings {
  readonly self: Self
  /** Databases of this host's own configuration. */
  readonly databases: readonly Database[]
  /** Which databases that users created are served here. */
  readonly selectors: readonly Selector[]
  readonly cacheTtlMilliseconds: number
  readonly maxStaleMilliseconds: number
  readonly allowLoopback: boolean
  /** Where to dial instead of registered endpoints. */
  readonly connectAddresses: readonly (readonly [endpoint: string, address: Address])[]
  /** For databases that users created on AWS. */
  readonly awsRules: AwsRules
  /** Processes that serve sessions of this agent. */
  readonly workers: number
}
