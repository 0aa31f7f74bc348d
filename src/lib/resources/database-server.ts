import {z} from 'zod'
import {databaseSchema} from './database.js'
import {parseAnnounced} from './direct-address.js'
import {metadataSchema} from './metadata.js'

export const healthStatuses = ['healthy', 'unknown', 'unhealthy'] as const
export type HealthStatus = (typeof healthStatuses)[number]

export const targetHealthSchema = z.strictObject({
  address: z.string().max(512),
  protocol: z.literal('TCP'),
  status: z.enum(healthStatuses),
  transition_timestamp: z.iso.datetime(),
  transition_reason: z.enum(['initialized', 'threshold_reached', 'disabled', 'internal_error']),
  transition_error: z.string().max(1024).optional(),
  message: z.string().max(1024).optional(),
})
export type TargetHealth = z.infer<typeof targetHealthSchema>

export const directAddressSchema = z
  .string()
  .max(300)
  .refine(isAnnounced, {error: 'must be an address that clients can dial, as host:port'})

function isAnnounced(text: string): boolean {
  try {
    return parseAnnounced(text) !== undefined
  } catch {
    return false
  }
}

/** One agent's heartbeat for one database. */
export const databaseServerSchema = z.strictObject({
  kind: z.literal('db_server'),
  version: z.literal('v3'),
  metadata: metadataSchema,
  spec: z.strictObject({
    version: z.string(),
    hostname: z.string(),
    host_id: z.uuid(),
    rotation: z.strictObject({}),
    database: databaseSchema,
    proxy_ids: z.array(z.string()),
    /** Where clients reach the agent without the proxy, `host:port`. */
    direct_addr: directAddressSchema.optional(),
  }),
  status: z.strictObject({target_health: targetHealthSchema}),
})

export type DatabaseServer = z.infer<typeof databaseServerSchema>
