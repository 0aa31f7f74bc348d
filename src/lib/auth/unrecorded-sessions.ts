/**
 * Sessions that began while recording was off. Their agents say so in the first event, and the control plane believes it as
 * long as it is off here too: an agent alone cannot decide that it is not recorded.
 */
import type {AuditEvent} from '../audit/event.js'
import type {RecordingMode} from '../resources/session-recording-config.js'
import type {HostCaller} from './caller.js'
import type {Recordings} from './recordings.js'
import type {SessionChain} from './session-chain.js'

export interface UnrecordedSessionsOptions {
  readonly chain: Pick<SessionChain, 'startOf'>
  readonly recordings: Pick<Recordings, 'sealed'>
  /** As the cluster has it now. */
  readonly mode: () => Promise<RecordingMode>
}

/** Of sessions that are under way; about others the chain knows it. */
const remembered = 10_000

export class UnrecordedSessions {
  readonly #options: UnrecordedSessionsOptions
  /** The hosts of sessions without a recording, by the ids of these. */
  readonly #hosts = new Map<string, string>()

  constructor(options: UnrecordedSessionsOptions) {
    this.#options = options
  }

  /**
   * The host of a session that gets no recording; undefined when it gets one, or nobody has told of it.
   * @param start its first event, if that comes only now
   */
  async hostOf(sid: string, start: AuditEvent | undefined, {hostId}: HostCaller): Promise<string | undefined> {
    const {chain, recordings, mode} = this.#options
    const known = this.#hosts.get(sid)
    // Most sessions have a recording, and to know that must cost nothing.
    if (known !== undefined || recordings.sealed(sid)) return known
    if (start && start.session_recording !== 'off') return undefined
    const told = await chain.startOf(sid)
    const isOff = told ? told.records === 0 : start !== undefined && (await mode()) === 'off'
    return isOff ? this.#remember(sid, told?.host ?? hostId) : undefined
  }

  #remember(sid: string, hostId: string): string {
    if (this.#hosts.size >= remembered) this.#hosts.clear()
    this.#hosts.set(sid, hostId)
    return hostId
  }
}
