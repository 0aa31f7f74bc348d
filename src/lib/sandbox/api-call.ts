import type {Fault} from './fault.js'
import type {Principal} from './principal.js'
import type {SignedRequest} from './sigv4.js'
import type {Account, World} from './world.js'

/** A request as it came, with its body. */
export interface ApiRequest extends SignedRequest {
  readonly id: string
  readonly body: string
}

/** Who asks, and where. */
export interface Call {
  readonly world: World
  readonly principal: Principal
  /** The principal's. */
  readonly account: Account
  /** The region that the request was signed for. */
  readonly region: string
}

export interface WireAnswer {
  readonly status: number
  readonly contentType: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string
}

/** One fake service, whatever its protocol. */
export interface ApiService {
  /** What is asked; empty when the request does not say. */
  actionOf(request: ApiRequest): string
  /** Whether the action may be asked for without a signature. */
  isAnonymous(action: string): boolean
  /** @throws Fault */
  answer(action: string, request: ApiRequest, call: Call): WireAnswer
  /** Answers a request without a signature. @throws Fault */
  answerAnonymous(action: string, request: ApiRequest, world: World): WireAnswer
  refuse(fault: Fault, request: ApiRequest): WireAnswer
}
