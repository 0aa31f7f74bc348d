import {z} from 'zod'
import {mapOf, metadataSchema} from './metadata.js'

const listOf = (maximum: number): z.ZodType<string[], string | string[]> =>
  z
    .union([z.string().max(maximum), z.array(z.string().max(maximum)).max(1024)], 'must be a text or a list of texts')
    .transform((value) => (Array.isArray(value) ? value : [value]))

const strings = z.array(z.string().min(1).max(1024)).max(1024)

/** A label selector: `{env: dev, region: [a, b], '*': '*'}`; values are literals, globs or `^regular expressions$`. */
const selector = mapOf(z.string().min(1).max(256), listOf(1024)).superRefine((labels, context) => {
  const wildcard = Object.hasOwn(labels, '*') ? labels['*'] : undefined
  if (wildcard && !(wildcard.length === 1 && wildcard[0] === '*')) {
    context.addIssue({code: 'custom', path: ['*'], message: 'the key "*" takes only the value "*"'})
  }
})

/** A condition in the predicate language (access/predicate.ts). */
const expression = z.string().max(4096)

export const verbs = [
  'list',
  'read',
  'readnosecrets',
  'create',
  'update',
  'delete',
  'use',
  'rotate',
  'enroll',
  '*',
] as const
export type Verb = (typeof verbs)[number]

const rule = z.strictObject({
  resources: z.array(z.string().min(1)).min(1),
  verbs: z.array(z.enum(verbs)).min(1),
  where: expression.optional(),
})

/** YAML 1.2 reads `yes` and `no` as texts. */
export const flag = z.union([
  z.boolean(),
  z.enum(['yes', 'no', 'true', 'false'], 'must be yes or no').transform((word) => word === 'yes' || word === 'true'),
])

const conditions = z.strictObject({
  db_labels: selector.optional(),
  db_labels_expression: expression.optional(),
  db_users: strings.optional(),
  db_names: strings.optional(),
  db_roles: strings.optional(),
  /** Whether connections may speak the replication protocol. */
  db_replication: flag.optional(),
  rules: z.array(rule).max(1024).optional(),
  // Carried by roles of other systems; they open nothing here, since there is nothing of theirs to open.
  db_service_labels: selector.optional(),
  db_service_labels_expression: expression.optional(),
  logins: strings.optional(),
  node_labels: selector.optional(),
  app_labels: selector.optional(),
  kubernetes_labels: selector.optional(),
})

/** Carried by roles of other systems in the value that asks for nothing; a role that asks for it must not seem to get it. */
export const onlyOff = (what: string, ...off: readonly (string | boolean)[]): z.ZodType<string | boolean> =>
  z.custom<string | boolean>(
    (value) => off.includes(value as string | boolean),
    `this version has no ${what}; leave it out, or write ${String(off[0])}`,
  )

const recordingStrictness = z.enum(['best_effort', 'strict', ''])

const options = z.strictObject({
  /** Go duration; the login's life is the smallest of the user's roles. */
  max_session_ttl: z.string().optional(),
  /** Go duration without a byte from the client after which a session ends; `never` or 0 for none. */
  client_idle_timeout: z.string().optional(),
  /** Whether sessions end with the certificate that opened them. */
  disconnect_expired_cert: flag.optional(),
  /** Sessions of one user at a time; 0 for any number. */
  max_connections: z.number().int().min(0).max(1_000_000).optional(),
  /** What happens when it is not known which locks are in force. */
  lock: z.enum(['strict', 'best_effort', '']).optional(),
  /** `strict`: as if the recording mode of the cluster were node-sync, unless it is off. There are no sessions but databases'. */
  record_session: z
    .strictObject({
      default: recordingStrictness.optional(),
      ssh: recordingStrictness.optional(),
      k8s: recordingStrictness.optional(),
      desktop: z.boolean().optional(),
    })
    .optional(),
  require_session_mfa: onlyOff('second factors', 'no', false, 'off').optional(),
  mfa_verification_interval: onlyOff('second factors', '0', '0s').optional(),
  device_trust_mode: onlyOff('device trust', 'off', '', 'optional').optional(),
  pin_source_ip: onlyOff('pinning of addresses', 'no', false).optional(),
  create_db_user: onlyOff('automatic database users', 'no', false).optional(),
  create_db_user_mode: onlyOff('automatic database users', 'off', '').optional(),
  request_access: onlyOff('access requests', 'optional').optional(),
  cert_format: onlyOff('other certificate format', 'standard').optional(),
})

export const roleSchema = z.strictObject({
  kind: z.literal('role'),
  version: z.enum(['v3', 'v4', 'v5', 'v6', 'v7', 'v8']),
  metadata: metadataSchema,
  spec: z.strictObject({
    options: options.optional(),
    allow: conditions.optional(),
    deny: conditions.optional(),
  }),
})

export type Role = z.infer<typeof roleSchema>
export type RoleConditions = z.infer<typeof conditions>
export type Rule = z.infer<typeof rule>
