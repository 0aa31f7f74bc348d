/**
 * What an agent says after it has looked at a database for somebody (`postern db doctor`): asked for with a startup parameter
 * on a connection of our own client, answered as the status of a parameter, and no session follows.
 */
import {z} from 'zod'
import {PosternError} from '../core/errors.js'
import {checkNames, type Finding} from './finding.js'

/** The startup parameter that asks, and the one whose status answers. */
export const examineParameter = 'postern_examine'
export const reportParameter = 'postern_examination'

export interface ExaminationReport {
  /** Name of the agent's host. */
  readonly agent: string
  /** In the order in which a connection needs them. */
  readonly findings: readonly Finding[]
}

const text = z.string().max(8192)
const check = z.enum(checkNames)

const schema = z.object({
  agent: text,
  findings: z
    .array(
      z.discriminatedUnion('outcome', [
        z.object({check, outcome: z.literal('pass'), detail: text}),
        z.object({check, outcome: z.literal('skipped'), detail: text}),
        z.object({
          check,
          outcome: z.literal('fail'),
          diagnosis: z.object({problem: text, cause: text, fix: text}),
        }),
      ]),
    )
    .max(64),
})

/** @throws PosternError UNTRUSTED when the text is none */
export function parseReport(json: string): ExaminationReport {
  try {
    return schema.parse(JSON.parse(json))
  } catch (cause) {
    throw new PosternError('UNTRUSTED', 'The agent sent a report that cannot be read.', {cause})
  }
}
