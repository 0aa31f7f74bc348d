import {z} from 'zod'
import {metadataSchema} from './metadata.js'

/** Who is locked out; with several fields set, all must match. */
const target = z
  .strictObject({user: z.string().optional(), role: z.string().optional(), server_id: z.string().optional()})
  .refine(
    (fields) => Object.values(fields).some((value) => value !== undefined),
    'must name a user, a role or a server_id',
  )

export const lockSchema = z.strictObject({
  kind: z.literal('lock'),
  version: z.literal('v2'),
  metadata: metadataSchema,
  spec: z.strictObject({
    target,
    message: z.string().max(1024).optional(),
    expires: z.iso.datetime({offset: true}).optional(),
    /** Both are the control plane's to write. */
    created_at: z.iso.datetime({offset: true}).optional(),
    created_by: z.string().max(256).optional(),
  }),
})

export type Lock = z.infer<typeof lockSchema>
