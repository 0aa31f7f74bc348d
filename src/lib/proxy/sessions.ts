import type {Clock} from '../core/clock.js'
import type {Logger} from '../core/log.js'
import {connectionId} from '../tunnel/connection-id.js'
import type {DataConnection} from './agent-link.js'
import type {Agents} from './agents.js'
import type {Joint} from './joint.js'
import type {SpliceRecord} from './options.js'

/** The sessions that run between clients and agents. */
export class Sessions {
  /** Bytes of the sessions that have ended. */
  readonly counters = {opened: 0, bytesToAgents: 0, bytesToClients: 0}
  readonly #logger: Logger
  readonly #clock: Clock
  readonly #onEnded: (splice: SpliceRecord) => void
  readonly #running = new Set<DataConnection>()
  #onAllEnded: (() => void) | undefined

  constructor(logger: Logger, clock: Clock, onEnded: (splice: SpliceRecord) => void) {
    this.#logger = logger
    this.#clock = clock
    this.#onEnded = onEnded
  }

  get size(): number {
    return this.#running.size
  }

  /** Joins a client with an agent that has answered, until both are closed. */
  async run(joint: Joint, source: string, session: DataConnection): Promise<void> {
    this.counters.opened += 1
    this.#running.add(session)
    const opened = this.#clock.now()
    const {leftToRightBytes, rightToLeftBytes} = await joint.run()
    this.#running.delete(session)
    this.counters.bytesToAgents += leftToRightBytes
    this.counters.bytesToClients += rightToLeftBytes
    this.#onEnded({
      id: connectionId(session.nonce),
      host: session.hostId,
      opened,
      ended: this.#clock.now(),
      toAgent: leftToRightBytes,
      toClient: rightToLeftBytes,
    })
    this.#logger.debug('Session ended.', {
      source,
      agent: session.hostId,
      bytes_to_agent: leftToRightBytes,
      bytes_to_client: rightToLeftBytes,
    })
    if (this.#running.size === 0) this.#onAllEnded?.()
  }

  /** Asks the agents to end their sessions; resolves when all have ended or the time is over. */
  async drain(agents: Agents, deadlineMilliseconds: number): Promise<void> {
    for (const hostId of agents.hostIds) {
      const nonces = [...this.#running].filter((session) => session.hostId === hostId).map(({nonce}) => nonce)
      agents.find(hostId)?.drain(nonces, deadlineMilliseconds)
    }
    if (this.#running.size === 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, deadlineMilliseconds)
      this.#onAllEnded = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
