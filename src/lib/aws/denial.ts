/** What AWS says when it does not let a caller do something (IAM User Guide, "Access denied error message formats"). */
import {messageOf} from '../core/errors.js'

/** Which kind of policy is at fault; `unsaid` where AWS keeps it to itself, as STS does. */
export type DenyingLayer = 'identity' | 'boundary' | 'session' | 'resource' | 'organization' | 'unsaid'

export interface Denial {
  /** ARN of the caller. */
  readonly principal: string
  readonly action: string
  /** ARN, or what the service writes in its place. */
  readonly resource: string
  readonly layer: DenyingLayer
  /** Whether a policy says no, rather than none says yes. */
  readonly isExplicit: boolean
}

const sentence = /User: (\S+) is not authorized to perform: (\S+?)(?: on resource: (.+?))?(?: (because|with) (.+))?$/

const layers: readonly (readonly [pattern: RegExp, layer: DenyingLayer])[] = [
  [/identity-based policy/, 'identity'],
  [/permissions boundary/, 'boundary'],
  [/session policy/, 'session'],
  [/resource-based policy/, 'resource'],
  [/(service|resource) control policy/, 'organization'],
]

/** The denial in an error of AWS; undefined when it is something else. */
export function readDenial(error: unknown): Denial | undefined {
  const match = sentence.exec(messageOf(error).replace(/\s+/g, ' ').trim().replace(/\.$/, ''))
  if (!match) return undefined
  const [, principal = '', action = '', resource = '*', , reason = ''] = match
  const layer = layers.find(([pattern]) => pattern.test(reason))?.[1] ?? 'unsaid'
  return {principal, action, resource, layer, isExplicit: reason.includes('explicit deny')}
}
