import type {Agent} from '../agent/options.js'
import type {Auth} from '../auth/options.js'
import type {Discovery} from '../discovery/discovery.js'
import type {Proxy} from '../proxy/options.js'
import type {Gauge} from './diagnostics.js'

/** The services of this process; one that is not enabled, or not up yet, is undefined. */
export interface Services {
  auth: Auth | undefined
  proxy: Proxy | undefined
  agent: Agent | undefined
  discovery: Discovery | undefined
}

/** The numbers that /metrics shows, each read when it is asked for. */
export function gaugesOf(state: Services): Gauge[] {
  const proxy = (): ReturnType<Proxy['statistics']> | undefined => state.proxy?.statistics()
  const agent = (): ReturnType<Agent['statistics']> | undefined => state.agent?.statistics()
  const auth = (): Auth['counters'] | undefined => state.auth?.counters
  return [
    {
      name: 'discovery_databases',
      help: 'Databases that the discovery group has registered.',
      read: () => state.discovery?.databases() ?? 0,
    },
    {name: 'auth_requests_total', help: 'API requests.', read: () => auth()?.requests ?? 0},
    {
      name: 'auth_requests_refused_total',
      help: 'API requests answered with an error.',
      read: () => auth()?.refused ?? 0,
    },
    {name: 'auth_logins_total', help: 'Logins.', read: () => auth()?.logins ?? 0},
    {
      name: 'auth_logins_failed_total',
      help: 'Logins with a wrong name or password.',
      read: () => auth()?.failedLogins ?? 0,
    },
    {name: 'auth_joins_total', help: 'Hosts that joined.', read: () => auth()?.joins ?? 0},
    {name: 'auth_joins_failed_total', help: 'Hosts whose token was refused.', read: () => auth()?.failedJoins ?? 0},
    {name: 'proxy_sessions', help: 'Sessions that the proxy splices.', read: () => proxy()?.sessions ?? 0},
    {name: 'proxy_agents', help: 'Agents connected to the proxy.', read: () => proxy()?.agents ?? 0},
    {
      name: 'proxy_connections_accepted_total',
      help: 'Connections accepted.',
      read: () => proxy()?.connectionsAccepted ?? 0,
    },
    {
      name: 'proxy_connections_refused_total',
      help: 'Connections refused.',
      read: () => proxy()?.connectionsRefused ?? 0,
    },
    {name: 'agent_sessions', help: 'Database sessions of the agent.', read: () => state.agent?.sessions() ?? 0},
    {
      name: 'proxy_agent_bytes_total',
      help: 'Bytes to agents, of ended sessions.',
      read: () => proxy()?.bytesToAgents ?? 0,
    },
    {
      name: 'proxy_client_bytes_total',
      help: 'Bytes to clients, of ended sessions.',
      read: () => proxy()?.bytesToClients ?? 0,
    },
    {
      name: 'agent_databases',
      help: 'Databases that the agent serves.',
      read: () => state.agent?.databases().length ?? 0,
    },
    {name: 'agent_sessions_started_total', help: 'Sessions begun.', read: () => agent()?.sessionsStarted ?? 0},
    {
      name: 'agent_sessions_refused_total',
      help: 'Sessions refused or failed.',
      read: () => agent()?.sessionsRefused ?? 0,
    },
    {name: 'agent_cancel_requests_total', help: 'Cancel requests.', read: () => agent()?.cancelRequests ?? 0},
    {
      name: 'agent_client_bytes_total',
      help: 'Bytes from clients, of ended sessions.',
      read: () => agent()?.bytesFromClients ?? 0,
    },
    {
      name: 'agent_database_bytes_total',
      help: 'Bytes from databases, of ended sessions.',
      read: () => agent()?.bytesFromDatabases ?? 0,
    },
    {
      name: 'agent_audit_backlog_bytes',
      help: 'Audit not yet acknowledged.',
      read: () => agent()?.auditBacklogBytes ?? 0,
    },
  ]
}
