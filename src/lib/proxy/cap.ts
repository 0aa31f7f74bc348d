/** Waiting places for each place there is. */
const waitingShare = 16

interface Queue {
  taken: number
  readonly waiting: Set<() => void>
}

/** Limits what is under way by key. Who comes in a burst waits for a short while; only a flood is turned away. */
export class Cap {
  readonly #limit: number
  readonly #waitMilliseconds: number
  readonly #queues = new Map<string, Queue>()

  constructor(limit: number, waitMilliseconds: number) {
    this.#limit = limit
    this.#waitMilliseconds = waitMilliseconds
  }

  /** Takes a place and gives what hands it back (once; again does nothing); nothing when none became free in time. */
  async enter(key: string): Promise<(() => void) | undefined> {
    const queue = this.#queues.get(key) ?? {taken: 0, waiting: new Set()}
    this.#queues.set(key, queue)
    if (queue.taken < this.#limit) queue.taken += 1
    else if (!(await this.#wait(queue))) return undefined
    let left = false
    return () => {
      if (left) return
      left = true
      this.#leave(key, queue)
    }
  }

  /** Whether a place was passed on in time. */
  #wait({waiting}: Queue): Promise<boolean> {
    if (waiting.size >= this.#limit * waitingShare) return Promise.resolve(false)
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        waiting.delete(proceed)
        resolve(false)
      }, this.#waitMilliseconds)
      const proceed = (): void => {
        clearTimeout(timer)
        waiting.delete(proceed)
        resolve(true)
      }
      waiting.add(proceed)
    })
  }

  #leave(key: string, queue: Queue): void {
    const [next] = queue.waiting
    if (next) {
      next()
      return
    }
    queue.taken -= 1
    if (queue.taken === 0) this.#queues.delete(key)
  }
}
