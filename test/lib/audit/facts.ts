import type {SessionFacts} from '../../../src/lib/audit/event.js'
import type {SessionAudit} from '../../../src/lib/audit/session-audit.js'
import {Statement} from '../../../src/lib/audit/statement.js'
import type {SqlText} from '../../../src/lib/audit/trimming.js'

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
    recording: 'node',
    remoteAddress: '192.0.2.1:50000',
    localAddress: '192.0.2.2:40000',
    ...changes,
  }
}

/** A query, as far as the spool knows of it before the database does. */
export function ask(audit: SessionAudit, sql: SqlText): Statement {
  const statement = new Statement(audit.nextStatement(), audit.sqlFields(sql))
  audit.asked(statement)
  statement.asked = true
  return statement
}

/** A query, asked and answered. */
export function record(audit: SessionAudit, text: string): void {
  const statement = ask(audit, {text})
  audit.flush()
  statement.complete('SELECT', 1)
  statement.enter(statement.number)
  statement.end('commit')
  audit.statement(statement)
}
