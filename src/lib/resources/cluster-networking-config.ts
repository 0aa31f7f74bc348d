import {z} from 'zod'
import {parseTimeout} from '../core/duration.js'
import {singletonMetadata} from './metadata.js'

export const clusterNetworkingConfigSchema = z.strictObject({
  kind: z.literal('cluster_networking_config'),
  version: z.literal('v2'),
  metadata: singletonMetadata('cluster_networking_config'),
  spec: z.strictObject({
    /** Go duration; sessions whose client is idle for longer end. `never` or 0 for none. Roles may say a shorter one. */
    client_idle_timeout: z
      .string()
      .max(64)
      .refine(isTimeout, 'must be a duration such as 15m, or never')
      .default('never'),
  }),
})

function isTimeout(text: string): boolean {
  try {
    return parseTimeout(text) >= 0
  } catch {
    return false
  }
}

export type ClusterNetworkingConfig = z.infer<typeof clusterNetworkingConfigSchema>
