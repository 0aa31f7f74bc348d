import {z} from 'zod'
import {singletonMetadata} from './metadata.js'

/**
 * `node`: the agent writes to its disk first and sends while the session lives. `node-sync`: a session ends when the control
 * plane does not take what it sends. `off`: no recording, and the audit log as ever.
 */
const recordingModes = ['node', 'node-sync', 'off'] as const
export type RecordingMode = (typeof recordingModes)[number]

/** For databases agents record, whatever other systems call it: a proxy of ours sees no statement. */
const recordedByAgents: Readonly<Record<string, RecordingMode>> = {proxy: 'node', 'proxy-sync': 'node-sync'}

export const recordingMode = z
  .enum([...recordingModes, 'proxy', 'proxy-sync'], 'must be node, node-sync or off')
  .transform((mode) => recordedByAgents[mode] ?? (mode as RecordingMode))

export const sessionRecordingConfigSchema = z.strictObject({
  kind: z.literal('session_recording_config'),
  version: z.literal('v2'),
  metadata: singletonMetadata('session_recording_config'),
  spec: z.strictObject({
    mode: recordingMode.default('node'),
    /** Found in files written for other systems; there are no host keys here. */
    proxy_checks_host_keys: z.boolean().optional(),
    encryption: z
      .strictObject({
        enabled: z.literal(false, 'this version encrypts no recordings; leave it out, or write false').optional(),
      })
      .optional(),
  }),
})

export type SessionRecordingConfig = z.infer<typeof sessionRecordingConfigSchema>
