/**
 * Finds an agent that answers a ClientHello:
 *
 *   client           proxy                                   agent A               agent B
 *     │ ClientHello ─► │ spare or {"open"} + ClientHello ──────►│                     │
 *     │                │ ◄── first byte within 1.5 s ───────────│  done               │
 *     │                │ or none: the same ClientHello, for `.db.` routes to B ──────►│
 *     │                │ else to A once more, on a fresh connection ──►│
 * An agent that has grown slow gets more time, and so does the last attempt: giving up somebody who works only doubles the work.
 * Sending a ClientHello twice is safe: it is TLS 1.3 without 0-RTT, so nobody has acted on the first one.
 */
import type {Agents} from './agents.js'
import type {AgentLink, DataConnection} from './agent-link.js'
import type {Cap} from './cap.js'
import type {Joint} from './joint.js'
import type {ProxyTiming} from './options.js'

/** An agent may take so many times as long as for the session before: one with much to do is slower with each, one that hangs was not. */
const slowerAtMost = 4

export interface OpeningOptions {
  readonly agents: Agents
  /** Unanswered ClientHellos by agent. */
  readonly hellosByAgent: Cap
  readonly timing: Pick<ProxyTiming, 'openMilliseconds' | 'answerMilliseconds' | 'lastMilliseconds'>
  readonly onReplay: () => void
}

export interface OpeningRequest {
  /** Hosts that would do, best first. */
  readonly hostIds: readonly string[]
  readonly hello: Buffer
  /** `ip:port` of the client. */
  readonly source: string
  /** Where the client will be joined with the agent that answers. */
  readonly joint: Joint
}

/** The connection whose agent answered; or why there is none. */
export async function openSession(
  request: OpeningRequest,
  options: OpeningOptions,
): Promise<DataConnection | {readonly refused: string}> {
  const connected = request.hostIds.filter((hostId) => options.agents.find(hostId))
  const [first, second] = connected
  if (first === undefined) return {refused: 'no agent for it is connected'}
  const tries = second === undefined ? [first, first] : [first, second, first]
  let refused = ''
  for (const [index, hostId] of tries.entries()) {
    const leave = await options.hellosByAgent.enter(hostId)
    if (!leave) return {refused: 'its agent has too many unanswered connections'}
    if (index > 0) options.onReplay()
    const isFresh = tries.indexOf(hostId) < index
    const isLast = index === tries.length - 1
    try {
      const result = await tryAgent({hostId, isFresh, isLast}, request, options)
      if (!('refused' in result)) return result
      refused = result.refused
    } finally {
      leave()
    }
  }
  return {refused}
}

async function tryAgent(
  {hostId, isFresh, isLast}: {readonly hostId: string; readonly isFresh: boolean; readonly isLast: boolean},
  {hello, source, joint}: OpeningRequest,
  {agents, timing}: OpeningOptions,
): Promise<DataConnection | {readonly refused: string}> {
  const link = agents.find(hostId)
  if (!link) return {refused: 'its agent has gone'}
  const begun = performance.now()
  const patience = (milliseconds: number): number =>
    isLast ? timing.lastMilliseconds : patienceWith(link, milliseconds, timing.lastMilliseconds)
  const spare = isFresh ? undefined : link.takeSpare(source)
  const connection = spare ?? (await link.open(source, patience(timing.openMilliseconds)))
  if (!connection) return {refused: 'its agent did not dial back'}
  const answered = await joint.offer(connection.socket, hello, patience(timing.answerMilliseconds))
  if (!answered) return {refused: 'its agent did not answer'}
  link.latestMilliseconds = performance.now() - begun
  return connection
}

function patienceWith({latestMilliseconds}: AgentLink, least: number, most: number): number {
  return Math.min(Math.max(least, latestMilliseconds * slowerAtMost), Math.max(least, most))
}
