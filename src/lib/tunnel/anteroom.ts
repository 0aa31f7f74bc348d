import type {Socket} from 'node:net'

export interface AnteroomLimits {
  readonly total: number
  readonly perAddress: number
}

interface Guest {
  readonly socket: Socket
  readonly address: string
}

/**
 * Connections that have proved nothing yet. Who means well goes on after a round trip or two, so that where there are too
 * many, of one address or of all, the one that has waited longest is closed, and the newest gets its chance.
 */
export class Anteroom {
  readonly #limits: AnteroomLimits
  /** By the name of the connection, oldest first. */
  readonly #all = new Map<string, Guest>()
  readonly #byAddress = new Map<string, Set<string>>()

  constructor(limits: AnteroomLimits) {
    this.#limits = limits
  }

  /** Takes a connection in until it leaves or is closed. */
  enter(name: string, socket: Socket, address: string): void {
    const own = this.#byAddress.get(address)
    if (own && own.size >= this.#limits.perAddress) this.#evict(own.keys().next().value)
    else if (this.#all.size >= this.#limits.total) this.#evict(this.#all.keys().next().value)
    this.#all.set(name, {socket, address})
    this.#byAddress.set(address, (this.#byAddress.get(address) ?? new Set()).add(name))
    socket.once('close', () => {
      if (this.#all.get(name)?.socket === socket) this.leave(name)
    })
  }

  leave(name: string): void {
    const guest = this.#all.get(name)
    if (!guest) return
    this.#all.delete(name)
    const own = this.#byAddress.get(guest.address)
    own?.delete(name)
    if (own?.size === 0) this.#byAddress.delete(guest.address)
  }

  /** Closes all of them. */
  close(): void {
    for (const {socket} of this.#all.values()) socket.destroy()
  }

  #evict(name = ''): void {
    const socket = this.#all.get(name)?.socket
    this.leave(name)
    socket?.destroy()
  }
}
