/** One stored value. */
export interface Item {
  readonly key: string
  readonly value: string
  /** Larger than that of every write before. */
  readonly revision: number
  /** Milliseconds since 1970; from then on the item is gone. */
  readonly expires?: number
}

/** What must hold for a change to be made: the key is free, there is an item, or the item still has this revision. */
export type Expectation = 'absent' | 'present' | number

export type Change =
  | {
      readonly type: 'put'
      readonly key: string
      readonly value: string
      readonly expires?: number | undefined
      readonly expect?: Expectation
    }
  | {readonly type: 'delete'; readonly key: string; readonly expect?: Exclude<Expectation, 'absent'>}

/** What a watcher hears, in the order of the writes. */
export type Notice =
  | {readonly type: 'put'; readonly item: Item}
  | {readonly type: 'delete'; readonly key: string; readonly revision: number}

export interface RangeOptions {
  /** Only keys behind this one. */
  readonly after?: string
  readonly limit?: number
}

export interface EventRecord {
  /** Milliseconds since 1970. */
  readonly time: number
  readonly event: string
  readonly user?: string | undefined
  /** With `ei` unique for ever. */
  readonly sid?: string | undefined
  readonly ei?: number | undefined
  /** Tells a repetition from a forgery. */
  readonly hash: string
  readonly body: string
}

/** An event with its place in the log. */
export interface StoredEvent {
  readonly position: number
  readonly record: EventRecord
}

/** What vouches for events that were stored together, and for all before them. */
export interface EventSeal {
  /** From 1, without a gap. */
  readonly number: number
  /** Of the last of its events. */
  readonly position: number
  /** Events so far. */
  readonly events: number
  /** Hex. */
  readonly link: string
  /** Of each of its events. */
  readonly checksums: string
  readonly signature: string
}

/** The seal of events, behind another one; undefined before the first. */
export type EventSealer = (events: readonly StoredEvent[], before: EventSeal | undefined) => EventSeal

/** Events that are stored together, and what seals them, if anything does. */
export interface Events {
  readonly records: readonly EventRecord[]
  readonly seal?: EventSealer | undefined
}

export interface Page {
  /** Only what has a larger number. */
  readonly after: number
  readonly limit: number
}

/** `duplicate`: the same event was there already; `conflict`: another one with its session and index was. */
export type AppendOutcome = 'stored' | 'duplicate' | 'conflict'

export interface EventQuery {
  /** Types of events, any of them; one that ends in `*` means all that begin so. */
  readonly events?: readonly string[] | undefined
  /** Values that the event has at its top level, as texts or truth values. */
  readonly having?: Readonly<Record<string, string | boolean>> | undefined
  readonly user?: string | undefined
  readonly sid?: string | undefined
  /** Milliseconds since 1970, inclusive. */
  readonly from?: number | undefined
  readonly to?: number | undefined
  readonly limit: number
  /** Events behind this position; without it the newest. */
  readonly after?: number | undefined
  /** The newest before this position. */
  readonly before?: number | undefined
}

export interface EventPage {
  /** Oldest first. */
  readonly bodies: readonly string[]
  /** Of the bodies. */
  readonly positions: readonly number[]
  /** Position of the last event; absent when nothing is behind it. */
  readonly next?: number
  /** Behind the position that was asked for nothing else matches up to this one; absent when the newest were asked for. */
  readonly seen?: number
}

/** A session began or ended, as its agent told it. */
export interface SessionLink {
  readonly host: string
  /** Where the agent numbers its sessions. */
  readonly stream: string
  /** From 1, without a gap. */
  readonly number: number
  readonly sid: string
  /** `pruned`: its recording was removed as too old. */
  readonly kind: 'start' | 'end' | 'pruned'
  /** Of its recording, so far. */
  readonly records: number
  /** Of a start the hex digest of its event, else the last link of the recording. */
  readonly head: string
  /** Which of the proxies' connections carried it; absent when none did. */
  readonly connection?: string | undefined
}

export interface StoredSessionLink extends SessionLink {
  readonly position: number
  readonly link: string
  readonly signature: string
}

/** What the next link of a stream is, behind this one; undefined before the first. */
export type LinkMaker = (
  link: SessionLink,
  before: StoredSessionLink | undefined,
) => Pick<StoredSessionLink, 'link' | 'signature'>

export interface SessionLinkQuery {
  readonly sid?: string | undefined
  /** Links behind this position. */
  readonly after?: number | undefined
  readonly limit: number
}

/** A connection that a proxy carried between a client and an agent. */
export interface Splice {
  readonly id: string
  readonly host: string
  /** Milliseconds since 1970. */
  readonly opened: number
  readonly ended: number
  /** Bytes of TLS. */
  readonly toAgent: number
  readonly toClient: number
}

export interface SpliceQuery {
  /** Ended before; milliseconds since 1970. */
  readonly before: number
  /** Only those that carried more than so many bytes one way or the other. */
  readonly moreThan: number
  /** Ids behind this one. */
  readonly after?: string | undefined
  readonly limit: number
}

/**
 * Keys, values and audit events that survive a crash from the moment a write is answered.
 * A write is all or nothing, and its revisions are allocated inside it, in order.
 */
export interface Backend {
  get(key: string): Promise<Item | undefined>
  /** Items whose key starts with the prefix, in the order of their keys (by bytes). */
  range(prefix: string, options?: RangeOptions): Promise<Item[]>
  /**
   * Makes all changes and stores the events that tell of them, or none. The answer holds the revision of each change;
   * undefined for a delete of what was not there.
   * @throws PosternError ALREADY_EXISTS, NOT_FOUND or CONFLICT when an expectation does not hold
   */
  write(changes: readonly Change[], events?: Events): Promise<(number | undefined)[]>
  /** @throws PosternError ALREADY_EXISTS */
  create(key: string, value: string, expires?: number): Promise<number>
  put(key: string, value: string, expires?: number): Promise<number>
  /** Whether there was something to delete. */
  delete(key: string): Promise<boolean>
  /** Calls the listener after each write below the prefix, in order, until the returned function is called. */
  watch(prefix: string, listener: (notice: Notice) => void): () => void
  /** What is stored is sealed in the same transaction, if there is something to seal it with. */
  appendEvents(records: readonly EventRecord[], seal?: EventSealer): Promise<AppendOutcome[]>
  listEvents(query: EventQuery): Promise<EventPage>
  /** Events as they were stored, by their positions. */
  storedEvents(page: Page): Promise<StoredEvent[]>
  /** By their numbers. */
  listEventSeals(page: Page): Promise<EventSeal[]>
  /** Events up to this position are from a version that sealed none. */
  sealedFrom(): Promise<number>
  /** Removes the events up to a seal, with it and those before, and makes a change in the same transaction. */
  pruneEvents(upTo: Pick<EventSeal, 'number' | 'position'>, change: Change): Promise<void>
  /** Appends to the chains of their streams; a session has one of each kind. Answers what was new, each with the number of the newest session that had started before. */
  appendLinks(
    links: readonly SessionLink[],
    make: LinkMaker,
  ): Promise<{readonly link: SessionLink; readonly told: number}[]>
  /** In the order in which they were stored. */
  listLinks(query: SessionLinkQuery): Promise<StoredSessionLink[]>
  appendSplices(splices: readonly Splice[]): Promise<void>
  /** Those that no session names, in the order of their ids. */
  strangeSplices(query: SpliceQuery): Promise<Splice[]>
  splice(id: string): Promise<Splice | undefined>
  close(): Promise<void>
}
