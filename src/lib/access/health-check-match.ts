import {PosternError} from '../core/errors.js'
import type {Labels} from '../core/labels.js'
import type {HealthCheckConfig} from '../resources/health-check-config.js'
import {compileLabelRule} from './label-rule.js'
import {maximumInstructions} from './pattern.js'

/**
 * Whether a health check configuration is for databases with these labels.
 * @throws PosternError INVALID when it holds a pattern or an expression that cannot be read
 */
export function compileMatch({metadata, spec}: HealthCheckConfig): (labels: Labels) => boolean {
  const {db_labels: listed = [], db_labels_expression: expression} = spec.match
  const selector: Record<string, string[]> = {}
  for (const {name, values} of listed) selector[name] = [...(selector[name] ?? []), ...values]
  const rule = compileLabelRule('allow', listed.length > 0 ? selector : undefined, expression)
  if (rule.cost > maximumInstructions) {
    throw new PosternError(
      'INVALID',
      `The regular expressions of the health check configuration "${metadata.name}" are too large.`,
    )
  }
  // Nobody asks: agents check databases whoever uses them.
  const test = rule.fill({user: '', traits: {}})
  return test.selects
}
