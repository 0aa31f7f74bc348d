/** What the server of a session is doing: `idle` waits for the client. */
export type SessionState = 'active' | 'idle' | 'idle in transaction' | 'idle in failed transaction'

/** A session that is under way, as its agent tells it. */
export interface LiveSession {
  readonly sid: string
  readonly user: string
  /** Name of the database resource. */
  readonly database: string
  readonly dbUser: string
  readonly dbName: string
  /** `ip:port` of the client. */
  readonly source: string
  /** RFC 3339 */
  readonly started: string
  readonly state: SessionState
  /** The beginning of what the server works on, or of what it worked on last. */
  readonly statement?: string | undefined
  /** Since when the server works on it, RFC 3339; absent when it waits for the client. */
  readonly statementStarted?: string | undefined
}

export interface SessionsResponse {
  readonly sessions: readonly (LiveSession & {readonly hostId: string; readonly hostname: string})[]
  /** Agents that are connected and did not answer in time. */
  readonly silent: readonly string[]
}
