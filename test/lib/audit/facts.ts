import type {SessionFacts} from '../../../src/lib/audit/event.js'

/** Facts of a session, as an agent would know them. */
export function sessionFacts(changes: Partial<SessionFacts> = {}): SessionFacts {
  return {
    cluster: 'example.com',
    sid: '307b49d6-56c7-4d20-8cf0-5bc5348a7101',
    user: 'alice',
    roles: ['access', 'db'],
    traits: {},
    agent: {hostId: 'e5e670ac-a7b8-44ef-b373-6296d87f50e8', hostname: 'db-host', version: '0.1.0'},
    database: {
      service: 'example',
      protocol: 'postgres',
      uri: 'databases-1.us-east-1.rds.amazonaws.com:5432',
      labels: {env: 'dev'},
      type: 'rds',
      origin: 'dynamic',
      region: 'us-east-1',
    },
    dbUser: 'alice',
    dbName: 'example',
    dbRoles: ['access'],
    remoteAddress: '192.0.2.1:50000',
    localAddress: '192.0.2.2:40000',
    ...changes,
  }
}
