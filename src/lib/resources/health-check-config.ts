import {z} from 'zod'
import {parseDuration} from '../core/duration.js'
import {metadataSchema} from './metadata.js'

/** How often and how patiently databases are tried. */
export interface HealthPolicy {
  readonly intervalMilliseconds: number
  readonly timeoutMilliseconds: number
  /** Passes in a row that make a database healthy, failures in a row that make it unhealthy. */
  readonly healthyThreshold: number
  readonly unhealthyThreshold: number
}

const defaults = {interval: '30s', timeout: '5s', healthyThreshold: 2, unhealthyThreshold: 1} as const
/** Milliseconds. */
const limits = {interval: {least: 30_000, most: 600_000}, timeout: {least: 1000}} as const
const highestThreshold = 10

const duration = z
  .string()
  .max(64)
  .refine((text) => millisecondsOf(text) !== undefined, 'must be a duration such as 30s')

function millisecondsOf(text: string): number | undefined {
  try {
    return parseDuration(text)
  } catch {
    return undefined
  }
}

const threshold = z.number().int().min(1).max(highestThreshold)

const label = z
  .strictObject({
    name: z.string().min(1).max(256),
    values: z.array(z.string().max(1024)).min(1).max(1024),
  })
  .refine(
    ({name, values}) => name !== '*' || (values.length === 1 && values[0] === '*'),
    'the name "*" takes only the value "*"',
  )

/** Which databases agents check, how often, and what a result means. Of several that match a database the first by name counts. */
export const healthCheckConfigSchema = z.strictObject({
  kind: z.literal('health_check_config'),
  version: z.literal('v1'),
  metadata: metadataSchema,
  spec: z
    .strictObject({
      interval: duration.default(defaults.interval),
      timeout: duration.default(defaults.timeout),
      healthy_threshold: threshold.default(defaults.healthyThreshold),
      unhealthy_threshold: threshold.default(defaults.unhealthyThreshold),
      /** Both must hold where both are there; without either nothing is checked. */
      match: z.strictObject({
        db_labels: z.array(label).max(256).optional(),
        db_labels_expression: z.string().max(4096).optional(),
      }),
    })
    .superRefine(({interval, timeout}, context) => {
      const issue = (path: string, message: string): void => {
        context.addIssue({code: 'custom', path: [path], message})
      }
      const [between, patience] = [millisecondsOf(interval) ?? 0, millisecondsOf(timeout) ?? 0]
      if (between < limits.interval.least || between > limits.interval.most) {
        issue('interval', 'must be between 30s and 10m')
      }
      if (patience < limits.timeout.least) issue('timeout', 'must be at least 1s')
      if (patience > between) issue('timeout', `must not be longer than the interval, ${interval}`)
    }),
})

export type HealthCheckConfig = z.infer<typeof healthCheckConfigSchema>

export function policyOf({spec}: HealthCheckConfig): HealthPolicy {
  return {
    intervalMilliseconds: parseDuration(spec.interval),
    timeoutMilliseconds: parseDuration(spec.timeout),
    healthyThreshold: spec.healthy_threshold,
    unhealthyThreshold: spec.unhealthy_threshold,
  }
}
