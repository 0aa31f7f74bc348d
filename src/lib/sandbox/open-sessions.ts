import type {Socket} from 'node:net'
import type {BackendKey} from '../pgwire/server-messages.js'

/** Whose session it is on the real server. */
export interface SessionOwner {
  readonly user: string
  readonly database: string
}

/** The open sessions of one endpoint by the key that cancels their queries. */
export class OpenSessions {
  readonly #owners = new Map<string, SessionOwner>()

  /** Until the client's connection closes. */
  add(key: BackendKey, owner: SessionOwner, client: Socket): void {
    this.#owners.set(nameOf(key), owner)
    client.once('close', () => this.#owners.delete(nameOf(key)))
  }

  find(key: BackendKey): SessionOwner | undefined {
    return this.#owners.get(nameOf(key))
  }
}

const nameOf = ({pid, secret}: BackendKey): string => `${pid}/${secret.toString('hex')}`
