/** What a client has asked and the server has not answered, in order. Arrays side by side, so that a message costs no object. */
export class Pipeline<Kind, Subject> {
  /** Bytes that all of it takes, about. */
  weight = 0
  #kinds: Kind[] = []
  #subjects: Subject[] = []
  #weights: number[] = []
  #first = 0
  /** How many were pushed. */
  pushed = 0

  /** How many of them are answered. */
  get answered(): number {
    return this.pushed - this.length
  }

  get length(): number {
    return this.#kinds.length - this.#first
  }

  /** What the server works on. */
  get kind(): Kind | undefined {
    return this.#kinds[this.#first]
  }

  get subject(): Subject | undefined {
    return this.#subjects[this.#first]
  }

  /** @param weight bytes that are kept for it, about */
  push(kind: Kind, subject: Subject, weight = 0): void {
    this.pushed += 1
    this.#kinds.push(kind)
    this.#subjects.push(subject)
    this.#weights.push(weight)
    this.weight += weight
  }

  /** The first one is answered. */
  shift(): void {
    this.weight -= this.#weights[this.#first] ?? 0
    this.#first += 1
    if (this.#first < compactAt && this.#first < this.#kinds.length) return
    if (this.#first >= this.#kinds.length) {
      this.#kinds.length = 0
      this.#subjects.length = 0
      this.#weights.length = 0
    } else {
      this.#kinds = this.#kinds.slice(this.#first)
      this.#subjects = this.#subjects.slice(this.#first)
      this.#weights = this.#weights.slice(this.#first)
    }
    this.#first = 0
  }

  /** Place of the next of a kind, counted from the first; -1 for none. */
  indexOf(kind: Kind, from = 0): number {
    const index = this.#kinds.indexOf(kind, this.#first + from)
    return index < 0 ? -1 : index - this.#first
  }

  at(index: number): {kind: Kind; subject: Subject} | undefined {
    const place = this.#first + index
    return place < this.#kinds.length
      ? {kind: this.#kinds[place] as Kind, subject: this.#subjects[place] as Subject}
      : undefined
  }

  /** What the server works on is about something else than it seemed. */
  replace(subject: Subject): void {
    this.#subjects[this.#first] = subject
  }

  /** Takes those before this place that are of this kind, and weigh nothing, out of the order, the first one excepted. @returns how many */
  drop(kind: Kind, before: number): number {
    const end = this.#first + before
    let kept = this.#first + 1
    for (let place = kept; place < end; place += 1) {
      if (this.#kinds[place] === kind) continue
      this.#kinds[kept] = this.#kinds[place] as Kind
      this.#subjects[kept] = this.#subjects[place] as Subject
      this.#weights[kept] = this.#weights[place] ?? 0
      kept += 1
    }
    const dropped = Math.max(0, end - kept)
    for (const list of [this.#kinds, this.#subjects, this.#weights]) list.splice(kept, dropped)
    this.pushed -= dropped
    return dropped
  }
}

/** Entries that are done with stay in front until there are so many. */
const compactAt = 1024
