import {createHash} from 'node:crypto'
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import type {AuditEvent} from '../../../src/lib/audit/event.js'
import {SessionAudit} from '../../../src/lib/audit/session-audit.js'
import {Spool} from '../../../src/lib/audit/spool.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {ask, record, sessionFacts} from './facts.js'
import {parseEvents} from '../../helpers/event-lines.js'

let directory: string
let spool: Spool
const clock = {...systemClock, now: () => Date.parse('2023-10-06T10:58:32.880Z')}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-audit-'))
  spool = await Spool.open({directory, clock, logger: silentLogger})
})

afterEach(async () => {
  await spool.close()
  await rm(directory, {recursive: true})
})

async function written(): Promise<readonly AuditEvent[]> {
  const events: AuditEvent[] = []
  for (let batch = await spool.read(); batch; batch = await spool.read()) {
    events.push(...parseEvents(batch.lines))
    await batch.acknowledge()
  }
  return events
}

describe('SessionAudit', () => {
  it('writes a query with the fields of the guide, and what came of it', async () => {
    const audit = new SessionAudit(spool, clock, sessionFacts())
    audit.started({})
    record(audit, 'select * from sample;')
    audit.flush()
    const [, query] = await written()
    expect(query).toEqual({
      statement: 1,
      command: 'SELECT',
      affected_records: 1,
      duration_ms: 0,
      bytes_from_client: 0,
      bytes_from_server: 0,
      transaction: 1,
      transaction_outcome: 'commit',
      cluster_name: 'example.com',
      code: 'TDB02I',
      db_name: 'example',
      db_origin: 'dynamic',
      db_protocol: 'postgres',
      db_query: 'select * from sample;',
      db_roles: ['access'],
      db_service: 'example',
      db_type: 'rds',
      db_uri: 'databases-1.us-east-1.rds.amazonaws.com:5432',
      db_user: 'alice',
      ei: 1,
      event: 'db.session.query',
      sid: '307b49d6-56c7-4d20-8cf0-5bc5348a7101',
      success: true,
      time: '2023-10-06T10:58:32.880Z',
      uid: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4/),
      user: 'alice',
    })
  })

  it('says at the start who came from where to which host and process', async () => {
    const audit = new SessionAudit(spool, clock, sessionFacts({dbRoles: []}))
    audit.started({pid: 4711, userAgent: 'psql'})
    const [start] = await written()
    expect(start).toMatchObject({
      event: 'db.session.start',
      code: 'TDB00I',
      ei: 0,
      success: true,
      postgres_pid: 4711,
      user_agent: 'psql',
      user_kind: 1,
      user_roles: ['access', 'db'],
      namespace: 'default',
      server_id: 'e5e670ac-a7b8-44ef-b373-6296d87f50e8',
      server_hostname: 'db-host',
      'addr.remote': '192.0.2.1:50000',
      'addr.local': '192.0.2.2:40000',
      proto: 'db',
      db_labels: {env: 'dev'},
      db_aws_region: 'us-east-1',
    })
    expect(start).not.toHaveProperty('db_roles')
  })

  it('writes a refused start, and no end', async () => {
    const audit = new SessionAudit(spool, clock, sessionFacts())
    audit.refused({error: 'no role allows it', message: 'Access denied.'})
    expect(await written()).toMatchObject([
      {
        event: 'db.session.start',
        code: 'TDB00W',
        success: false,
        error: 'no role allows it',
        message: 'Access denied.',
      },
    ])
  })

  it('trims long SQL between characters and gives the hash of the whole', async () => {
    const sql = `x${'ä'.repeat(50_000)}`
    const audit = new SessionAudit(spool, clock, sessionFacts())
    record(audit, sql)
    audit.flush()
    const [first, second, query] = await written()
    const whole = [first, second].map((part) => Buffer.from(String(part?.data), 'base64'))
    expect(Buffer.concat(whole).toString()).toBe(sql)
    const text = String(query?.db_query)
    expect(Buffer.byteLength(text)).toBe(65_535)
    expect(sql.startsWith(text)).toBe(true)
    expect(query).toMatchObject({
      db_query_truncated: true,
      db_query_sha256: createHash('sha256').update(sql).digest('hex'),
    })
  })

  it('keeps the hash that comes with SQL which was cut before', async () => {
    const audit = new SessionAudit(spool, clock, sessionFacts())
    audit.statement(ask(audit, {text: 'select 1', sha256: 'abc'}))
    audit.flush()
    expect(await written()).toMatchObject([{db_query: 'select 1', db_query_truncated: true, db_query_sha256: 'abc'}])
  })
})
