/** The database events of the audit log: fields of the client contract, chapter 6. */
import {randomUUID} from 'node:crypto'
import type {Labels} from '../core/labels.js'
import {sessionEvents} from './event-codes.js'

/** One event as it is stored: flat JSON, keys in the contract's spelling. */
export type AuditEvent = Readonly<Record<string, unknown>>

export type SessionEventName = keyof typeof sessionEvents

const recordingOnly: ReadonlySet<string> = new Set([
  'db.session.result',
  'db.session.sql.part',
] satisfies SessionEventName[])

/** Whether an event belongs to the recording of its session and not to the audit log. */
export function isRecordingOnly(event: string): boolean {
  return recordingOnly.has(event)
}

/** Code of a session start that was refused or failed. */
export const startRefused = sessionEvents['db.session.start'].failed

/** Kind of user 1 is a person; origin 1 an account of this cluster. */
const userGroup = {user_kind: 1, user_origin: 1} as const
const namespace = 'default'
const protocol = 'db'

/** What is known of a session before it starts. */
export interface SessionFacts {
  readonly cluster: string
  readonly sid: string
  readonly user: string
  readonly roles: readonly string[]
  readonly traits: Readonly<Record<string, readonly string[]>>
  readonly agent: {readonly hostId: string; readonly hostname: string; readonly version: string}
  readonly database: {
    /** Name of the database resource. */
    readonly service: string
    readonly protocol: 'postgres'
    readonly uri: string
    readonly labels: Labels
    readonly type: string
    readonly origin: string
    readonly region?: string | undefined
  }
  readonly dbUser: string
  readonly dbName: string
  readonly dbRoles: readonly string[]
  /** As the cluster wanted it when the session began: `off` leaves the audit log and no recording. */
  readonly recording: 'node' | 'node-sync' | 'off'
  /** `ip:port` of the client, and of the agent's end. */
  readonly remoteAddress: string
  readonly localAddress: string
  /** Which connection of a proxy carries it, as the proxy names it too; undefined when none does. */
  readonly connection?: string | undefined
}

/** Fields that every event of the session carries. */
export function sessionFields(facts: SessionFacts): AuditEvent {
  const {database} = facts
  return {
    cluster_name: facts.cluster,
    user: facts.user,
    sid: facts.sid,
    db_service: database.service,
    db_protocol: database.protocol,
    db_uri: database.uri,
    db_name: facts.dbName,
    db_user: facts.dbUser,
    ...(facts.dbRoles.length > 0 && {db_roles: facts.dbRoles}),
    db_type: database.type,
    db_origin: database.origin,
  }
}

const commonKeys: ReadonlySet<string> = new Set([
  'cluster_name',
  'user',
  'sid',
  'db_service',
  'db_protocol',
  'db_uri',
  'db_name',
  'db_user',
  'db_roles',
  'db_type',
  'db_origin',
])

/** Of an event of the session, the fields that every one carries. */
export function commonFields(event: AuditEvent): AuditEvent {
  return Object.fromEntries(Object.entries(event).filter(([key]) => commonKeys.has(key)))
}

/** Fields that only the start and the end of a session carry: who, from where, on which host. */
export function boundaryFields(facts: SessionFacts): AuditEvent {
  const {agent, database} = facts
  return {
    ...userGroup,
    user_roles: facts.roles,
    ...(Object.keys(facts.traits).length > 0 && {user_traits: facts.traits}),
    namespace,
    server_id: agent.hostId,
    server_hostname: agent.hostname,
    server_version: agent.version,
    ...(facts.connection !== undefined && {connection_id: facts.connection}),
    'addr.local': facts.localAddress,
    'addr.remote': facts.remoteAddress,
    proto: protocol,
    ...(Object.keys(database.labels).length > 0 && {db_labels: database.labels}),
    ...(database.region !== undefined && {db_aws_region: database.region}),
  }
}

/** One event. @param now milliseconds since 1970. */
export function sessionEvent(
  name: SessionEventName,
  index: number,
  now: number,
  ...fields: readonly AuditEvent[]
): AuditEvent {
  return Object.assign(
    {ei: index, event: name, code: sessionEvents[name].done, uid: randomUUID(), time: new Date(now).toISOString()},
    ...fields,
  ) as AuditEvent
}

/** The same as a start that did not come about. */
export function asRefusedStart(event: AuditEvent): AuditEvent {
  return {...event, code: startRefused}
}
