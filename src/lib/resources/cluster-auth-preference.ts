import {z} from 'zod'
import {singletonMetadata} from './metadata.js'
import {flag, onlyOff} from './role.js'

export const clusterAuthPreferenceSchema = z.strictObject({
  kind: z.literal('cluster_auth_preference'),
  version: z.literal('v2'),
  metadata: singletonMetadata('cluster_auth_preference'),
  spec: z.strictObject({
    type: z
      .literal('local', 'this version signs in with passwords of its own only; leave it out, or write local')
      .default('local'),
    second_factor: onlyOff('second factors', 'off').optional(),
    require_session_mfa: onlyOff('second factors', 'no', false, 'off', 'OFF').optional(),
    /** Whether sessions end with the certificate that opened them. Roles may ask for it too. */
    disconnect_expired_cert: flag.default(false),
    /** What happens when it is not known which locks are in force, and no role says it. */
    locking_mode: z.enum(['strict', 'best_effort']).default('best_effort'),
  }),
})

export type ClusterAuthPreference = z.infer<typeof clusterAuthPreferenceSchema>
