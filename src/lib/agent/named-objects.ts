/** A prepared statement or portal that a client's message makes, or (`closed`) takes away. */
export interface NamedObject {
  readonly name: string
  readonly closed: boolean
  /** Bytes that it takes here, about. */
  readonly weight: number
  /** The server has not done what the message says: it skipped it, or it failed. */
  undone: boolean
  /** What had the name before, as long as this one is not certain. */
  previous: this | undefined
}

/**
 * The prepared statements or the portals of a session, by name. A name means what the client's newest message made of it,
 * before the server has answered, and again what it meant before when the server does otherwise.
 */
export class NamedObjects<T extends NamedObject> {
  /** Of all that is kept. */
  weight = 0
  readonly #newest = new Map<string, T>()

  get size(): number {
    return this.#newest.size
  }

  objects(): Iterable<T> {
    return this.#newest.values()
  }

  find(name: string): T | undefined {
    const newest = this.#newest.get(name)
    if (!newest?.undone) return newest?.closed ? undefined : newest
    let standing: T | undefined = newest
    while (standing?.undone) {
      this.weight -= standing.weight
      standing = standing.previous
    }
    if (standing) this.#newest.set(name, standing)
    else this.#newest.delete(name)
    return standing?.closed ? undefined : standing
  }

  /** The client has sent the message. */
  put(object: T): void {
    this.find(object.name)
    object.previous = this.#newest.get(object.name)
    this.#newest.set(object.name, object)
    this.weight += object.weight
  }

  /** The server has done it. @returns what had the name before */
  confirm(object: T): T | undefined {
    const previous = this.#forgetPrevious(object)
    if (object.closed && this.#newest.get(object.name) === object) {
      this.#newest.delete(object.name)
      this.weight -= object.weight
    }
    return previous
  }

  /** Forgets those of which this is true. @returns them, and what would have the name without them */
  remove(gone: (object: T) => boolean): T[] {
    const removed: T[] = []
    for (const [name, object] of this.#newest) {
      if (!gone(object)) continue
      this.#newest.delete(name)
      const previous = this.#forgetPrevious(object)
      if (previous) removed.push(previous)
      this.weight -= object.weight
      if (!object.closed && !object.undone) removed.push(object)
    }
    return removed
  }

  #forgetPrevious(object: T): T | undefined {
    let standing: T | undefined
    for (let {previous} = object; previous; previous = previous.previous) {
      this.weight -= previous.weight
      if (!previous.undone) standing ??= previous
    }
    object.previous = undefined
    return standing?.closed ? undefined : standing
  }
}
