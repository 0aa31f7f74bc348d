import {z} from 'zod'
import {databaseSchema} from '../resources/database.js'
import {directAddressSchema, targetHealthSchema} from '../resources/database-server.js'
import {labelMap, mapOf, resourceName} from '../resources/metadata.js'
import {joinRoles} from '../resources/token.js'

/** Bodies of the API's requests: the schema checks what arrives, the type serves the client. */

const publicKey = z.string().max(4096)
const password = z.string().min(1).max(1024)
/** Ten years: enough for anything, and no date overflows. */
const longestTtl = 10 * 365 * 24 * 3600
const ttlSeconds = z.number().int().positive().max(longestTtl)
const names = z.array(z.string().min(1).max(256)).max(64)

export const loginRequest = z.strictObject({
  user: z.string().min(1).max(256),
  password,
  publicKey,
  /** The wanted life; the control plane may give less. */
  ttlSeconds: ttlSeconds.optional(),
})
export type LoginRequest = z.infer<typeof loginRequest>

export const acceptInviteRequest = z.strictObject({token: z.string().max(128), password})
export type AcceptInviteRequest = z.infer<typeof acceptInviteRequest>

export const joinChallengeRequest = z.strictObject({publicKey})
export type JoinChallengeRequest = z.infer<typeof joinChallengeRequest>

/** A signed sts:GetCallerIdentity request (aws/identity-proof.ts), for a challenge of ours. */
const identityProof = z.strictObject({
  challenge: z.string().max(256),
  host: z.string().max(253),
  date: z.string().max(32),
  sessionToken: z
    .string()
    .max(8192)
    .regex(/^[\x21-\x7e]+$/)
    .optional(),
  authorization: z.string().max(2048),
})

export const joinRequest = z.strictObject({
  /** For the join method iam, the name of the token. */
  token: z.string().max(256),
  systemRole: z.enum(joinRoles),
  /** For people to read; the control plane chooses the host's id and names. */
  hostname: z.string().max(253),
  version: z.string().max(64),
  publicKey,
  /** For the join method iam. */
  iam: identityProof.optional(),
})
export type JoinRequest = z.infer<typeof joinRequest>

export const renewHostRequest = z.strictObject({publicKey})
export type RenewHostRequest = z.infer<typeof renewHostRequest>

export const databaseCertificateRequest = z.strictObject({
  publicKey,
  database: z.string().min(1).max(63),
  dbUser: z.string().max(2048),
  dbName: z.string().max(256),
  dbRoles: names.default([]),
})
export type DatabaseCertificateRequest = z.input<typeof databaseCertificateRequest>

/** Would somebody get in? Without a user it is about the caller. */
export const explainAccessRequest = z.strictObject({
  user: z.string().min(1).max(256).optional(),
  database: z.string().min(1).max(63),
  dbUser: z.string().min(1).max(2048),
  /** The database user's name unless given, as in PostgreSQL. */
  dbName: z.string().max(256).optional(),
  dbRoles: names.default([]),
})
export type ExplainAccessRequest = z.input<typeof explainAccessRequest>

/** An agent asks for the certificate that it shows to a self-hosted database. */
export const databaseClientRequest = z.strictObject({
  publicKey,
  /** The user's database certificate, PEM: proof that this user wants this database as this database user. */
  userCertificate: z.string().max(32_768),
})
export type DatabaseClientRequest = z.infer<typeof databaseClientRequest>

/** An agent asks for the server certificate that it shows to clients who name a database of its own instead of itself. */
export const directServerRequest = z.strictObject({
  publicKey,
  database: z.string().min(1).max(63),
})
export type DirectServerRequest = z.infer<typeof directServerRequest>

/** A process of a host that follows the watch stream: when it comes again, its older stream ends. */
export const watchQuery = z.object({follower: z.string().max(64).default('')})

/** An agent has a client's cancel request and not the session: another agent of the database may have it. */
export const forwardCancelRequest = z.strictObject({
  database: z.string().min(1).max(63),
  user: z.string().min(1).max(1024),
  pid: z.int32(),
  secret: z.base64().max(344),
})
export type ForwardCancelRequest = z.infer<typeof forwardCancelRequest>

/** `auth sign --format=db`: a server certificate for a self-hosted database. */
export const databaseServerCertificateRequest = z.strictObject({
  publicKey,
  hosts: z.array(z.string().min(1).max(253)).min(1).max(64),
  ttlSeconds: ttlSeconds.optional(),
})
export type DatabaseServerCertificateRequest = z.infer<typeof databaseServerCertificateRequest>

/** `auth sign --format=file`: a login certificate for a user, made by an administrator. */
export const userCertificateRequest = z.strictObject({
  publicKey,
  user: z.string().min(1).max(256),
  ttlSeconds: ttlSeconds.optional(),
  /** For how long from now whoever holds it may renew it; not at all when absent. */
  renewableSeconds: ttlSeconds.optional(),
})
export type UserCertificateRequest = z.infer<typeof userCertificateRequest>

/** `auth renew`: the same identity with a new key. */
export const renewUserRequest = z.strictObject({publicKey})
export type RenewUserRequest = z.infer<typeof renewUserRequest>

export const addUserRequest = z.strictObject({
  name: resourceName,
  roles: names.min(1),
  traits: mapOf(z.string().min(1).max(128), z.array(z.string().max(1024)).max(256)),
  ttlSeconds: ttlSeconds.optional(),
})
export type AddUserRequest = z.infer<typeof addUserRequest>

export const resetUserRequest = z.strictObject({ttlSeconds: ttlSeconds.optional()})
export type ResetUserRequest = z.infer<typeof resetUserRequest>

export const addTokenRequest = z.strictObject({
  roles: z.array(z.enum(joinRoles)).min(1),
  ttlSeconds: ttlSeconds.optional(),
  /** The secret itself, when the administrator chooses it. */
  value: z.string().min(16).max(256).optional(),
  databases: z.strictObject({names: names.optional(), labels: labelMap.optional()}).optional(),
})
export type AddTokenRequest = z.infer<typeof addTokenRequest>

export const logoutRequest = z.strictObject({everywhere: z.boolean()})
export type LogoutRequest = z.infer<typeof logoutRequest>

export const heartbeatRequest = z.strictObject({
  hostname: z.string().max(253),
  version: z.string().max(64),
  /** Where clients reach the agent without the proxy, `host:port`. */
  directAddress: directAddressSchema.optional(),
  databases: z.array(z.strictObject({database: databaseSchema, health: targetHealthSchema})).max(1000),
})
export type HeartbeatRequest = z.input<typeof heartbeatRequest>

/** Which discovery services keep the same databases; empty for those that name none. */
const discoveryGroup = z.string().max(256)

export const discoveredDatabasesRequest = z.strictObject({group: discoveryGroup})
export type DiscoveredDatabasesRequest = z.infer<typeof discoveredDatabasesRequest>

export const putDiscoveredRequest = z.strictObject({group: discoveryGroup, database: databaseSchema})
export type PutDiscoveredRequest = z.input<typeof putDiscoveredRequest>

export const removeDiscoveredRequest = z.strictObject({group: discoveryGroup, name: z.string().min(1).max(63)})
export type RemoveDiscoveredRequest = z.infer<typeof removeDiscoveredRequest>

export const pingRequest = z.strictObject({sequence: z.number().int().nonnegative()})
export type PingRequest = z.infer<typeof pingRequest>

const shortText = z.string().max(2048)

/** The sessions of one of an agent's processes, asked for on its watch stream. */
export const reportSessionsRequest = z.strictObject({
  ask: z.uuid(),
  sessions: z
    .array(
      z.strictObject({
        sid: z.uuid().lowercase(),
        user: shortText,
        database: shortText,
        dbUser: shortText,
        dbName: shortText,
        source: shortText,
        started: z.iso.datetime(),
        state: z.enum(['active', 'idle', 'idle in transaction', 'idle in failed transaction']),
        statement: shortText.optional(),
        statementStarted: z.iso.datetime().optional(),
      }),
    )
    .max(10_000),
  /** Those that are about to begin. */
  opening: z.array(z.uuid().lowercase()).max(10_000).default([]),
})
export type ReportSessionsRequest = z.infer<typeof reportSessionsRequest>

/** May one more session of a user begin, who may have so many at a time? */
export const admitSessionRequest = z.strictObject({
  sid: z.uuid().lowercase(),
  user: shortText,
  most: z.number().int().positive(),
})
export type AdmitSessionRequest = z.infer<typeof admitSessionRequest>

export const killSessionRequest = z.strictObject({reason: z.string().max(256).optional()})
export type KillSessionRequest = z.infer<typeof killSessionRequest>

/** Audit events of an agent, in order, as lines: each is one flat JSON object (client contract, chapter 6). */
export const emitEventsRequest = z.instanceof(Buffer)

const bytes = z.number().int().nonnegative()

/** Connections that a proxy carried. */
export const reportSplicesRequest = z.strictObject({
  splices: z
    .array(
      z.strictObject({
        id: z.string().regex(/^[0-9a-f]{32}$/),
        host: z.uuid(),
        opened: bytes,
        ended: bytes,
        toAgent: bytes,
        toClient: bytes,
      }),
    )
    .min(1)
    .max(1000),
})
export type ReportSplicesRequest = z.infer<typeof reportSplicesRequest>

export const recordingQuery = z.object({follow: z.stringbool().default(false)})
export const verificationQuery = z.object({
  sid: z.uuid().lowercase().optional(),
  /** Of the audit log, as an earlier verification gave it. */
  head: z
    .string()
    .regex(/^\d{1,15}:[0-9a-f]{64}$/, 'must be as a verification printed it')
    .optional(),
})
export type VerificationQuery = z.infer<typeof verificationQuery>

export const listEventsQuery = z.strictObject({
  /** A type, or several with commas between; `db.session.*` means all that begin so. */
  event: z
    .string()
    .max(4096)
    .transform((text) => text.split(','))
    .optional(),
  /** Name of a database resource. */
  db: z.string().optional(),
  code: z.string().optional(),
  success: z.stringbool().optional(),
  user: z.string().optional(),
  sid: z.string().optional(),
  /** RFC 3339 */
  from: z.iso.datetime({offset: true}).optional(),
  to: z.iso.datetime({offset: true}).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  /** Return events after this cursor, oldest first; without it the newest, oldest of them first. */
  cursor: z.string().max(64).optional(),
  /** The newest before this cursor. */
  before: z.string().max(64).optional(),
  /** Seconds to wait for an event behind the cursor when there is none. */
  wait: z.coerce.number().int().min(0).max(25).optional(),
})
export type ListEventsQuery = z.input<typeof listEventsQuery>
