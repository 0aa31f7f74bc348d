/**
 * Every event of the audit log and of recordings, with its code: `done` as a rule, `failed` when it tells of a failure or a
 * refusal. Names and codes that begin with T are those of the client contract, chapter 6; those with P are our own.
 * docs/audit.md has an example of each.
 */

interface Codes {
  readonly done: string
  readonly failed?: string
}

/** What agents tell of sessions. */
export const sessionEvents = {
  'db.session.start': {done: 'TDB00I', failed: 'TDB00W'},
  'db.session.end': {done: 'TDB01I'},
  'db.session.query': {done: 'TDB02I', failed: 'TDB02W'},
  'db.session.malformed_packet': {done: 'TDB06I'},
  'db.session.postgres.function': {done: 'TPG04I', failed: 'TPG04W'},
  // An error that answers no statement.
  'db.session.result': {done: 'TDB10I'},
  'client.disconnect': {done: 'T3006I'},
  'session.rejected': {done: 'T1006W'},
  // A piece of SQL that is too long for the event behind it.
  'db.session.sql.part': {done: 'PDB00I'},
} as const satisfies Readonly<Record<string, Codes>>

/** What the control plane says itself. */
export const ownEvents = {
  'user.login': {done: 'T1000I', failed: 'T1000W'},
  'user.create': {done: 'T1002I'},
  'user.update': {done: 'T1003I'},
  'user.delete': {done: 'T1004I'},
  'user.password_change': {done: 'T1005I'},
  'reset_password_token.create': {done: 'T6000I'},
  'join_token.create': {done: 'TJT00I'},
  'instance.join': {done: 'TJ002I', failed: 'TJ002E'},
  'cert.create': {done: 'TC000I'},
  'role.created': {done: 'T9000I'},
  'role.deleted': {done: 'T9001I'},
  'role.updated': {done: 'T9002I'},
  'lock.created': {done: 'TLK00I'},
  'lock.deleted': {done: 'TLK01I'},
  'session.upload': {done: 'T2005I'},
  'session.recording.access': {done: 'T2012I'},
  'db.create': {done: 'TDB03I'},
  'db.update': {done: 'TDB04I'},
  'db.delete': {done: 'TDB05I'},
  'health_check_config.create': {done: 'THCC001I'},
  'health_check_config.update': {done: 'THCC002I'},
  'health_check_config.delete': {done: 'THCC003I'},
  'session_recording_config.update': {done: 'TCREC003I'},
  'cluster_networking_config.update': {done: 'TCNET002I'},
  'auth_preference.update': {done: 'TCAUTH001I'},
  'join_token.delete': {done: 'PJT01I'},
  'user.logout_everywhere': {done: 'PUS01I'},
  'user.lockout': {done: 'PUS02W'},
  'database_server.refused': {done: 'PDS00W'},
  'session.kill': {done: 'PSE00I'},
  'audit.conflict': {done: 'PAU00E'},
  'audit.recordings.prune': {done: 'PAU03I'},
  'audit.events.prune': {done: 'PAU04I'},
  'audit.missing_sessions': {done: 'PAU01E'},
  // In the place of an event that is stored and cannot be read.
  'audit.unreadable': {done: 'PAU02E'},
} as const satisfies Readonly<Record<string, Codes>>
