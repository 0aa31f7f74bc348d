import type {ApiClient} from '../api/client.js'
import {PosternError} from '../core/errors.js'

/** What the control plane says of a session that is over; the second one to those who may not know more. */
const isOver: ReadonlySet<string> = new Set(['NOT_FOUND', 'ACCESS_DENIED'])

export interface Killed {
  readonly sid: string
  /** Its agent has confirmed that it is over. */
  readonly ended: boolean
}

/** Ends sessions one after the other; what fails does not hide which of them were ended. */
export async function killSessions(
  client: Pick<ApiClient, 'killSession'>,
  sids: readonly string[],
  reason: string | undefined,
): Promise<{readonly killed: Killed[]; readonly failures: PosternError[]}> {
  const killed: Killed[] = []
  const failures: PosternError[] = []
  for (const sid of sids) {
    try {
      killed.push({sid, ...(await client.killSession(sid, {reason}))})
    } catch (error) {
      if (!(error instanceof PosternError)) throw error
      failures.push(error)
      // One that has just ended by itself keeps none of the others alive.
      if (!isOver.has(error.code)) break
    }
  }
  return {killed, failures}
}
