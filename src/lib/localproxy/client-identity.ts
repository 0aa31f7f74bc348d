import {createSecureContext, type SecureContext} from 'node:tls'
import type {Credentials} from '../pki/credentials.js'

/** Of each way to an agent; an answered ticket is replaced, so that it takes no more than connections are made at once. */
const maximumTickets = 4

/**
 * What the connections with one certificate have in common: its parsed key, and tickets with which an agent resumes TLS.
 * They are never written anywhere, each is used once, and agents judge a resumed connection as they judge any.
 */
export class ClientIdentity {
  readonly secureContext: SecureContext
  readonly #certificate: string
  readonly #hostAuthorities: readonly string[]
  readonly #tickets = new Map<string, Buffer[]>()

  constructor({certificate, privateKey}: Credentials, hostAuthorities: readonly string[]) {
    this.#certificate = certificate
    this.#hostAuthorities = hostAuthorities
    this.secureContext = createSecureContext({
      minVersion: 'TLSv1.3',
      cert: certificate,
      key: privateKey.reveal(),
      ca: [...hostAuthorities],
    })
  }

  /** Whether it is made of these. */
  isOf({certificate}: Credentials, hostAuthorities: readonly string[]): boolean {
    return certificate === this.#certificate && String(hostAuthorities) === String(this.#hostAuthorities)
  }

  /** `way` names the agent and the listener of it that gave the ticket. */
  takeTicket(way: string): Buffer | undefined {
    return this.#tickets.get(way)?.pop()
  }

  keepTicket(way: string, ticket: Buffer): void {
    const tickets = this.#tickets.get(way) ?? []
    if (tickets.length >= maximumTickets) tickets.shift()
    tickets.push(ticket)
    this.#tickets.set(way, tickets)
  }
}
