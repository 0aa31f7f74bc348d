/** Work that serves all who ask for it before it begins: who asks while it is under way gets the next run. */
export class SharedRuns {
  readonly #work: () => Promise<void>
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined

  constructor(work: () => Promise<void>) {
    this.#work = work
  }

  /** Resolves or rejects as a run does that began after the call. */
  run(): Promise<void> {
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        return (this.#running = this.#work())
      })
    return this.#next
  }
}
