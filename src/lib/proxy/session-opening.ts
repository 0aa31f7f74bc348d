/**
 * Finds an agent that answers a ClientHello:
 *
 *   client           proxy                                   agent A               agent B
 *     │ ClientHello ─► │ spare or {"open"} + ClientHello ──────►│                     │
 *     │                │ ◄── first byte within 1.5 s ───────────│  done               │
 *     │                │ or none: the same ClientHello, for `.db.` routes to B ──────►│
 *     │                │ else to A once more, on a fresh connection ──►│
 *
 * Sending a ClientHello twice is safe: it is TLS 1.3 without 0-RTT, so nobody has acted on the first one.
 */
import type {Agents} from './agents.js'
import type {DataConnection} from './agent-link.js'
import type {Cap} from './cap.js'
import type {Joint} from './joint.js'

export interface OpeningOptions {
  readonly agents: Agents
  /** Unanswered ClientHellos by agent. */
  readonly hellosByAgent: Cap
  readonly answerMilliseconds: number
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
    try {
      const result = await tryAgent(hostId, tries.indexOf(hostId) < index, request, options)
      if (!('refused' in result)) return result
      refused = result.refused
    } finally {
      leave()
    }
  }
  return {refused}
}

async function tryAgent(
  hostId: string,
  fresh: boolean,
  {hello, source, joint}: OpeningRequest,
  {agents, answerMilliseconds}: OpeningOptions,
): Promise<DataConnection | {readonly refused: string}> {
  const link = agents.find(hostId)
  const connection = (fresh ? undefined : link?.takeSpare(source)) ?? (await link?.open(source))
  if (!connection) return {refused: 'its agent did not dial back'}
  const answered = await joint.offer(connection.socket, hello, answerMilliseconds)
  return answered ? connection : {refused: 'its agent did not answer'}
}
