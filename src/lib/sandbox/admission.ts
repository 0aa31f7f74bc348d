import type {StartupMessage} from '../pgwire/first-packet.js'
import {encodeMessage} from '../pgwire/message.js'
import type {SignInDialogue} from './sign-in-dialogue.js'

/** A client at the door of a fake database endpoint. */
export interface Arrival {
  readonly startup: StartupMessage
  /** Whether it came over TLS. */
  readonly secure: boolean
  readonly dialogue: SignInDialogue
}

/** One of the real server's messages, from its startup to its first ReadyForQuery. */
export interface ServerMessage {
  readonly type: number
  readonly payload: Buffer
}

export type Admission =
  | {
      readonly admitted: true
      /** The real server's user that the session is for. */
      readonly user: string
    }
  | {
      readonly admitted: false
      /** SQLSTATE. */
      readonly code: string
      readonly message: string
      /** For the sandbox's log: more than the service would say. */
      readonly reason: string
    }

/** How one kind of database endpoint lets clients in, and how it makes the real server's greeting its own. */
export interface DoorKeeper {
  /** Startup parameters that this kind of server knows, and PostgreSQL does not. */
  readonly ownParameters?: ReadonlySet<string>
  admit(arrival: Arrival): Promise<Admission>
  /** What the client gets of the message; undefined for nothing. */
  rewrite(message: ServerMessage): Buffer | undefined
}

export const refuse = (code: string, message: string, reason: string): Admission => ({
  admitted: false,
  code,
  message,
  reason,
})

export const asItIs = ({type, payload}: ServerMessage): Buffer => encodeMessage(type, payload)

/** SQLSTATEs. */
export const states = {
  invalidAuthorization: '28000',
  invalidPassword: '28P01',
  notSupported: '0A000',
  undefinedObject: '42704',
} as const
