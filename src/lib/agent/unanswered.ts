/**
 * Which statement an answer of the server belongs to. The server answers in the order in which it was asked:
 *
 *   simple query     Query ──► (CommandComplete | EmptyQueryResponse)… | ErrorResponse ──► ReadyForQuery
 *   extended query   Execute ──► CommandComplete | EmptyQueryResponse | PortalSuspended | ErrorResponse
 *                    Sync ──► ReadyForQuery; after an error the server skips everything up to it
 *   COPY FROM STDIN  CopyInResponse ──► until CopyDone or CopyFail the server ignores every Sync
 */

type Entry =
  {readonly kind: 'query' | 'execute'; readonly event: number} | {readonly kind: 'function' | 'sync' | 'copy-end'}

const functionCall: Entry = {kind: 'function'}
const sync: Entry = {kind: 'sync'}
const copyEnd: Entry = {kind: 'copy-end'}

/** Entries that are done with stay in front until there are so many. */
const compactAt = 1024

/** What the client has asked and the server has not answered. Bounded by what the connections between them hold. */
export class Unanswered {
  #entries: Entry[] = []
  #first = 0
  /** After an error, before the client's Sync. */
  #skipping = false
  /** The server takes COPY data. */
  #copying = false

  /** @param event `ei` of the audit event, as for `execute` */
  query(event: number): void {
    this.#add({kind: 'query', event})
  }

  execute(event: number): void {
    this.#add({kind: 'execute', event})
  }

  functionCall(): void {
    this.#add(functionCall)
  }

  sync(): void {
    if (this.#copying) return
    this.#skipping = false
    this.#entries.push(sync)
  }

  /** CopyDone or CopyFail. */
  copyEnded(): void {
    if (this.#copying) this.#copying = false
    // With nothing asked there is no COPY to end, and the server ignores it.
    else if (this.#head()) this.#entries.push(copyEnd)
  }

  /** The server wants COPY data: what stands before the client's end of it is not answered. */
  copyBegan(): void {
    this.#head()
    const end = this.#entries.indexOf(copyEnd, this.#first + 1)
    if (end < 0) this.#entries.length = Math.min(this.#entries.length, this.#first + 1)
    else this.#entries.splice(this.#first + 1, end - this.#first)
    this.#copying = end < 0
  }

  /** A command is complete, or its portal suspended; the event that it answers. */
  completed(): number | undefined {
    this.#copying = false
    const head = this.#head()
    if (head?.kind === 'execute') this.#first += 1
    this.#compact()
    return head && 'event' in head ? head.event : undefined
  }

  /** An ErrorResponse; the event that it answers. */
  failed(): number | undefined {
    this.#copying = false
    const head = this.#head()
    if (head?.kind === 'query' || head?.kind === 'function') return 'event' in head ? head.event : undefined
    // An error of a Parse or Bind is the answer to the Execute that follows it.
    const next = this.#entries.indexOf(sync, this.#first)
    this.#first = next < 0 ? this.#entries.length : next
    this.#skipping = next < 0
    this.#compact()
    return head && 'event' in head ? head.event : undefined
  }

  /** ReadyForQuery. */
  ready(): void {
    this.#copying = false
    let head = this.#head()
    while (head?.kind === 'execute') {
      this.#first += 1
      head = this.#head()
    }
    if (head) this.#first += 1
    this.#compact()
  }

  /** After each answer: a client may go on for ever without a Sync. */
  #compact(): void {
    if (this.#first < compactAt && this.#first < this.#entries.length) return
    this.#entries = this.#entries.slice(this.#first)
    this.#first = 0
  }

  #add(entry: Entry): void {
    if (!this.#skipping) this.#entries.push(entry)
  }

  /** What the server works on. */
  #head(): Entry | undefined {
    // Where no COPY runs the server ignores its end.
    while (this.#entries[this.#first] === copyEnd) this.#first += 1
    return this.#entries[this.#first]
  }
}
