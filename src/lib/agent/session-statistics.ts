import type {EngineCounters} from './engine.js'

/** Counted from the start, and what there is now. */
export interface SessionStatistics extends Readonly<EngineCounters> {
  readonly sessions: number
  /** Connections that never came as far as a session. */
  readonly connectionsTurnedAway: number
  /** Audit events that the control plane has not acknowledged. */
  readonly auditBacklogBytes: number
}

export const noStatistics: SessionStatistics = {
  sessions: 0,
  sessionsStarted: 0,
  sessionsRefused: 0,
  cancelRequests: 0,
  connectionsTurnedAway: 0,
  bytesFromClients: 0,
  bytesFromDatabases: 0,
  auditBacklogBytes: 0,
}

export function add(one: SessionStatistics, other: SessionStatistics): SessionStatistics {
  return {
    sessions: one.sessions + other.sessions,
    sessionsStarted: one.sessionsStarted + other.sessionsStarted,
    sessionsRefused: one.sessionsRefused + other.sessionsRefused,
    cancelRequests: one.cancelRequests + other.cancelRequests,
    connectionsTurnedAway: one.connectionsTurnedAway + other.connectionsTurnedAway,
    bytesFromClients: one.bytesFromClients + other.bytesFromClients,
    bytesFromDatabases: one.bytesFromDatabases + other.bytesFromDatabases,
    auditBacklogBytes: one.auditBacklogBytes + other.auditBacklogBytes,
  }
}
