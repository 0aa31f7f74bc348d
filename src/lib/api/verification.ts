/** One line of the answer of `GET /v1/audit/verification`: every problem as it is found, then what was looked at. */
export type VerificationLine =
  | {
      readonly type: 'problem'
      /** What it is about: a session, an agent, a connection that a proxy carried, or an event of the audit log. */
      readonly subject: 'session' | 'agent' | 'connection' | 'event'
      /** Of an event its cursor. */
      readonly id: string
      /** Line of the recording, and `ei` of the record. */
      readonly line?: number | undefined
      readonly ei?: number | undefined
      /** One sentence. */
      readonly problem: string
    }
  | {
      readonly type: 'summary'
      readonly sessions: number
      readonly records: number
      readonly agents: number
      readonly problems: number
      /** Sessions that no end was told of, and whose agent may still be in them. */
      readonly open: number
      /** Of the audit log, when that was looked at. */
      readonly events?: number | undefined
      /** Sessions whose recordings were removed as too old. */
      readonly pruned?: number | undefined
      /** Events that were removed as too old, and than what, RFC 3339; absent when none were. */
      readonly removed?: number | undefined
      readonly older_than?: string | undefined
      /** The newest seal of the audit log: whoever keeps it elsewhere can ask for it later. */
      readonly head?: string | undefined
    }
