import type {AgentConnection} from './agent-dialer.js'
import type {ClientIdentity} from './client-identity.js'

/** Agents wait half as long again for a startup message. */
const spareMilliseconds = 60_000

interface Spare {
  readonly identity: ClientIdentity
  /** Rejects when no agent lets us in. */
  readonly connection: Promise<AgentConnection>
  /** Set when the agent's greeting has been read. */
  ready: AgentConnection | undefined
  release(): void
}

export interface SpareRequest {
  readonly identity: ClientIdentity
  readonly dial: () => Promise<AgentConnection>
  readonly maximum: number
  /** Keeps one that failed for whoever takes it, who can then say why. */
  readonly keepFailure?: boolean
}

/** Connections that were made in advance: TLS and the agent's greeting done, nothing of PostgreSQL sent. */
export class Spares {
  readonly #spares = new Set<Spare>()

  /** Begins to make one, unless there are enough. */
  add({identity, dial, maximum, keepFailure = false}: SpareRequest): void {
    if (this.#spares.size >= maximum) return
    const spare: Spare = {identity, connection: dial(), ready: undefined, release: () => undefined}
    this.#spares.add(spare)
    spare.connection.then(
      (connection) => {
        spare.ready = connection
        if (this.#spares.has(spare)) this.#watch(spare, connection)
      },
      () => {
        if (!keepFailure) this.#spares.delete(spare)
      },
    )
  }

  /**
   * One that is as good as new: of this identity, to one of these agents. It may still be on its way. Those that would not
   * do are closed.
   */
  take(identity: ClientIdentity, agents: readonly string[]): Promise<AgentConnection> | undefined {
    let best: Spare | undefined
    for (const spare of this.#spares) {
      const {ready} = spare
      const fits = spare.identity === identity && (!ready || (agents.includes(ready.hostId) && isQuiet(ready)))
      if (!fits) this.#drop(spare)
      else if (!best || (ready && !best.ready)) best = spare
    }
    if (!best) return undefined
    this.#spares.delete(best)
    best.release()
    return best.connection
  }

  close(): void {
    for (const spare of this.#spares) this.#drop(spare)
  }

  #watch(spare: Spare, {socket}: AgentConnection): void {
    const drop = (): void => {
      this.#drop(spare)
    }
    const timer = setTimeout(drop, spareMilliseconds)
    spare.release = () => {
      clearTimeout(timer)
      socket.off('end', drop).off('close', drop)
    }
    socket.on('end', drop).on('close', drop)
    if (!isQuiet({socket})) drop()
  }

  #drop(spare: Spare): void {
    this.#spares.delete(spare)
    spare.release()
    spare.connection.then(({socket}) => socket.destroy(), ignore)
  }
}

/** Open, and without a word of the agent, which has none to say before the startup message. */
function isQuiet({socket}: Pick<AgentConnection, 'socket'>): boolean {
  return !socket.destroyed && !socket.readableEnded && socket.writable && socket.readableLength === 0
}

function ignore(): void {
  // There is nothing to close.
}
