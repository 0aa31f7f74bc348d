import type {SessionsResponse} from '../api/live-session.js'
import type {ReportSessionsRequest} from '../api/requests.js'

/** What one process of an agent told of its sessions; nothing when it did not answer in time. */
interface Report {
  readonly hostId: string
  readonly hostname: string
  readonly follower: string
  readonly told: ReportSessionsRequest | undefined
}

/** The sessions of agents, as their processes told them. */
export interface ToldSessions extends SessionsResponse {
  readonly opening: ReadonlySet<string>
  /** Processes that answered. */
  readonly followers: ReadonlySet<string>
  /** The process that told of a session, by the session's id. */
  readonly holders: ReadonlyMap<string, string>
}

export function gatherSessions(reports: readonly Report[]): ToldSessions {
  const sessions: ToldSessions['sessions'][number][] = []
  const opening = new Set<string>()
  const silent = new Set<string>()
  const followers = new Set<string>()
  const holders = new Map<string, string>()
  for (const {hostId, hostname, follower, told} of reports) {
    if (!told) {
      silent.add(hostId)
      continue
    }
    followers.add(follower)
    for (const session of told.sessions) {
      sessions.push({...session, hostId, hostname})
      holders.set(session.sid, follower)
    }
    for (const sid of told.opening) opening.add(sid)
  }
  return {sessions, opening, silent: [...silent], followers, holders}
}
