/** A prepared statement or portal that a client's message makes, or (`closed`) takes away. */
export interface NamedObject {
  readonly name: string
  readonly closed: boolean
  /** Bytes that it takes here, about; only `grow` changes it. */
  weight: number
}

/**
 * The prepared statements or the portals of a session, by name. What the server has is certain, since it answers in order;
 * what the client's messages make of a name until it has answered them is not: it may fail, or skip them.
 */
export class NamedObjects<T extends NamedObject> {
  /** Of what the server has; what it is still to make weighs on the pipeline. */
  weight = 0
  readonly #standing = new Map<string, T>()
  /** By name, the newest message that the server has not answered. */
  readonly #sent = new Map<string, T>()

  /** What the server has. */
  get standing(): ReadonlyMap<string, T> {
    return this.#standing
  }

  /** What the name will mean when the server has done all that it is asked. */
  find(name: string): T | undefined {
    const newest = this.#sent.get(name) ?? this.#standing.get(name)
    return newest?.closed ? undefined : newest
  }

  /** The client has sent the message. */
  put(object: T): void {
    this.#sent.set(object.name, object)
  }

  /** The server has not done it. */
  undo(object: T): void {
    this.#answered(object)
  }

  /** The server has done it. @returns what had the name before */
  confirm(object: T): T | undefined {
    this.#answered(object)
    const previous = this.take(object.name)
    if (!object.closed) this.#keep(object)
    return previous
  }

  /** The server has it, and no message of this kind made it. */
  add(object: T): void {
    this.take(object.name)
    this.#keep(object)
  }

  /** It takes so many bytes more, as long as the server has it. */
  grow(object: T, bytes: number): void {
    object.weight += bytes
    this.weight += bytes
  }

  /** The server does not have it any more. */
  take(name: string): T | undefined {
    const taken = this.#standing.get(name)
    if (!taken) return undefined
    this.#standing.delete(name)
    this.weight -= taken.weight
    return taken
  }

  #keep(object: T): void {
    this.#standing.set(object.name, object)
    this.weight += object.weight
  }

  /** Answers come in order: with the newest message all of the name are answered. */
  #answered(object: T): void {
    if (this.#sent.get(object.name) === object) this.#sent.delete(object.name)
  }
}
