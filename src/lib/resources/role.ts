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

export const verbs = ['list', 'read', 'readnosecrets', 'create', 'update', 'delete', 'use', '*'] as const
export type Verb = (typeof verbs)[number]

const rule = z.strictObject({
  resources: z.array(z.string().min(1)).min(1),
  verbs: z.array(z.enum(verbs)).min(1),
})

const conditions = z.strictObject({
  db_labels: selector.optional(),
  db_users: strings.optional(),
  db_names: strings.optional(),
  db_roles: strings.optional(),
  db_service_labels: selector.optional(),
  rules: z.array(rule).optional(),
  // Carried by roles of other systems; they open nothing here, since there is nothing of theirs to open.
  logins: strings.optional(),
  node_labels: selector.optional(),
  app_labels: selector.optional(),
  kubernetes_labels: selector.optional(),
})

const options = z.strictObject({
  /** Go duration; the login's life is the smallest of the user's roles. */
  max_session_ttl: z.string().optional(),
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
