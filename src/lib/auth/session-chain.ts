/**
 * The chain of an agent's sessions: every start and every end that it told, in its order, each with a link over the one before,
 * signed by the control plane. An agent numbers its sessions, so one that is missing shows.
 */
import {createHash} from 'node:crypto'
import {isSignedBy, type SealKeys} from '../audit/seal.js'
import type {AuditEvent} from '../audit/event.js'
import type {Logger} from '../core/log.js'
import type {Backend, SessionLink, StoredSessionLink} from '../storage/backend.js'
import type {AuditLog} from './audit-log.js'
import type {Sealing} from './sealing.js'

export interface SessionChainOptions {
  readonly backend: Backend
  readonly sealing: Sealing
  readonly audit: AuditLog
  readonly logger: Logger
}

/** What a session's first event says about its place. */
const streamPattern = /^[0-9a-f-]{36}$/
const connectionPattern = /^[0-9a-f]{32}$/

/** One of each kind. */
export const linksOfSession = 3

export class SessionChain {
  readonly #options: SessionChainOptions

  constructor(options: SessionChainOptions) {
    this.#options = options
  }

  /** Where a session began, if its agent said it. */
  async startOf(sid: string): Promise<SessionLink | undefined> {
    const [start] = await this.#options.backend.listLinks({sid, limit: 1})
    return start?.kind === 'start' ? start : undefined
  }

  /** Whether the recording of a session was removed as too old. */
  async isPruned(sid: string): Promise<boolean> {
    return (await this.#options.backend.listLinks({sid, limit: linksOfSession})).some(({kind}) => kind === 'pruned')
  }

  /** Appends what is new; a number that was left out is an alarm. */
  async append(links: readonly SessionLink[]): Promise<void> {
    if (links.length === 0) return
    const {backend, sealing, audit, logger} = this.#options
    const appended = await backend.appendLinks(links, (link, before) => {
      const next = nextLink(link, before)
      return {link: next, signature: `${sealing.key.id}:${sealing.key.sign(signedText(next))}`}
    })
    for (const {link, told} of appended) {
      const missing = missingBetween(link, told)
      if (missing === undefined) continue
      logger.error('Sessions of an agent are missing.', {host_id: link.host, missing})
      await audit.append('audit.missing_sessions', {
        server_id: link.host,
        agent_stream: link.stream,
        missing_sessions: missing,
        success: false,
        error: `The agent told of session ${link.number}, and not of ${missing}.`,
      })
    }
  }
}

/** The place of a session in the chain of its agent, as its first event says it; undefined when it does not. */
export function startLink(event: AuditEvent, sid: string, host: string, head: string): SessionLink | undefined {
  const {agent_stream: stream, agent_session: number, connection_id: connection} = event
  if (typeof stream !== 'string' || !streamPattern.test(stream) || !Number.isSafeInteger(number)) return undefined
  const isNamed = typeof connection === 'string' && connectionPattern.test(connection)
  return {
    ...{host, stream, number: number as number, sid, kind: 'start', records: 1, head},
    ...(isNamed && {connection}),
  }
}

/** Numbers between a session that starts and the newest that had, as `3` or `3–5`; undefined when there are none. */
export function missingBetween({kind, number}: SessionLink, told: number): string | undefined {
  if (kind !== 'start') return undefined
  const first = told + 1
  if (number <= first) return undefined
  return first === number - 1 ? String(first) : `${first}–${number - 1}`
}

/** The link behind another one. */
export function nextLink(link: SessionLink, before: StoredSessionLink | undefined): string {
  const {host, stream, number, sid, kind, records, head, connection = ''} = link
  const content = JSON.stringify([before?.link ?? '', host, stream, number, sid, kind, records, head, connection])
  return createHash('sha256').update(content).digest('hex')
}

/** Why a stored link is not what the control plane made; undefined when it is. */
export function linkFlaw(
  stored: StoredSessionLink,
  before: StoredSessionLink | undefined,
  keys: SealKeys,
): string | undefined {
  if (nextLink(stored, before) !== stored.link) return 'the link is broken'
  const [key = '', signature = ''] = stored.signature.split(':')
  return isSignedBy(signedText(stored.link), {key, signature}, keys) ? undefined : 'its signature is not valid'
}

function signedText(link: string): string {
  return `postern sessions\n${link}`
}
