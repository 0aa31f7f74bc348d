import type {Clock} from '../core/clock.js'
import type {Logger} from '../core/log.js'
import type {HostIdentity} from '../pki/identity.js'
import type {PulseTiming} from '../tunnel/control-channel.js'
import {AgentLink} from './agent-link.js'
import type {Nonces} from './nonces.js'
import type {AdmittedAgent} from './tunnel-endpoint.js'

export interface AgentsOptions {
  readonly place: string
  readonly nonces: Nonces
  readonly mayServe: (identity: HostIdentity) => boolean
  readonly clock: Clock
  readonly logger: Logger
  readonly pulse: PulseTiming
}

/** The connected agents by host id. The id comes from the certificate alone. */
export class Agents {
  readonly #options: AgentsOptions
  readonly #links = new Map<string, AgentLink>()

  constructor(options: AgentsOptions) {
    this.#options = options
  }

  get hostIds(): string[] {
    return [...this.#links.keys()]
  }

  get spares(): number {
    return [...this.#links.values()].reduce((sum, link) => sum + link.spares, 0)
  }

  find(hostId: string): AgentLink | undefined {
    return this.#links.get(hostId.toLowerCase())
  }

  /** Takes a checked control connection; an older one of the same host gives way. */
  add({socket, identity, certificateEnds}: AdmittedAgent): void {
    const {clock, logger, mayServe} = this.#options
    const hostId = identity.hostId.toLowerCase()
    const older = this.#links.get(hostId)
    const link: AgentLink = new AgentLink({
      ...this.#options,
      hostId,
      socket,
      refusal: () => {
        if (clock.now() >= certificateEnds) return 'Its certificate expired.'
        return mayServe(identity) ? undefined : 'This Database Service is locked or was removed.'
      },
      onClose: (reason) => {
        if (this.#links.get(hostId) === link) this.#links.delete(hostId)
        logger.info('Agent disconnected.', {agent: hostId, reason})
      },
    })
    this.#links.set(hostId, link)
    logger.info('Agent connected.', {agent: hostId})
    older?.close('a newer connection of the same agent took its place')
  }

  close(): void {
    for (const link of [...this.#links.values()]) link.close('the proxy stops')
  }
}
