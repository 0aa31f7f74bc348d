import {z} from 'zod'
import {mapOf, metadataSchema} from './metadata.js'

export const userSchema = z.strictObject({
  kind: z.literal('user'),
  version: z.literal('v2'),
  metadata: metadataSchema,
  spec: z.strictObject({
    roles: z.array(z.string().min(1).max(256)).min(1).max(64),
    traits: mapOf(z.string().min(1).max(128), z.array(z.string().max(1024)).max(256)).default({}),
    created_by: z.strictObject({time: z.string(), user: z.strictObject({name: z.string()})}).optional(),
  }),
  /** Written by the control plane only. */
  status: z
    .strictObject({
      /** Certificates issued before this moment (RFC 3339) are void. */
      certs_valid_from: z.iso.datetime().optional(),
      password_state: z.enum(['set', 'unset']).optional(),
    })
    .optional(),
})

export type User = z.infer<typeof userSchema>
