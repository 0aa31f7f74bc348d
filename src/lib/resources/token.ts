import {z} from 'zod'
import {labelMap, metadataSchema, resourceName} from './metadata.js'

/** What may join with a token. */
export const joinRoles = ['Db', 'Proxy', 'Discovery'] as const
export type JoinRole = (typeof joinRoles)[number]

/** Shorter secrets can be guessed. */
const minimumSecretLength = 16

/** A join token; for the method `token` its name is the secret itself. */
export const tokenSchema = z.strictObject({
  kind: z.literal('token'),
  version: z.literal('v2'),
  metadata: metadataSchema.extend({
    name: resourceName.min(
      minimumSecretLength,
      `must have at least ${minimumSecretLength} characters: it is the secret`,
    ),
  }),
  spec: z.strictObject({
    roles: z.array(z.enum(joinRoles)).min(1),
    join_method: z.literal('token').default('token'),
    /** The databases that a joining agent may serve; absent means any. A database must be named and carry all labels. */
    databases: z.strictObject({names: z.array(z.string().min(1)).optional(), labels: labelMap.optional()}).optional(),
  }),
})

export type Token = z.infer<typeof tokenSchema>
