import {setTimeout as sleep} from 'node:timers/promises'
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals'
import {combineOptions, readClusterLimits, type SessionOptions} from '../../../src/lib/access/session-options.js'
import type {Guest} from '../../../src/lib/agent/admission.js'
import {SessionLimits} from '../../../src/lib/agent/session-limits.js'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import type {ClusterAuthPreference} from '../../../src/lib/resources/cluster-auth-preference.js'
import type {ClusterNetworkingConfig} from '../../../src/lib/resources/cluster-networking-config.js'
import type {Role} from '../../../src/lib/resources/role.js'
import {Plane} from './plane.js'
import {
  accessRole,
  greet,
  openSession,
  refusal,
  sessionEvents,
  startPostgresFor,
  startRig,
  startup,
  until,
  type Rig,
} from './rig.js'
import {ask} from './wire.js'

const nothing: SessionOptions = {
  maxSessionTtl: undefined,
  clientIdleTimeout: undefined,
  disconnectExpiredCert: false,
  maxConnections: undefined,
  lock: 'best_effort',
  recordStrictly: false,
}
const expires = Date.parse('2026-11-20T12:00:00Z')
const guest = {certificate: {validTo: new Date(expires).toISOString()}} as unknown as Guest
const minutes = (count: number): number => count * 60_000

describe('the limits of a session', () => {
  it('F09: a client is idle only while it is its turn and it does nothing', () => {
    let activity: number | undefined = 1
    const limits = new SessionLimits(guest, {...nothing, clientIdleTimeout: minutes(5)}, () => activity)
    const at = (minute: number): string | undefined =>
      limits.exceeded({now: 0, monotonic: minutes(minute), stale: false, unrecorded: 0})?.error.code
    expect([at(0), at(4)]).toEqual([undefined, undefined])
    activity = undefined
    // A query of 11 minutes.
    expect([at(5), at(10), at(15)]).toEqual([undefined, undefined, undefined])
    activity = 1
    expect([at(16), at(20)]).toEqual([undefined, undefined])
    activity = 2
    expect([at(21), at(25.9), at(26), at(27)]).toEqual([undefined, undefined, '57P05', undefined])
  })

  it('a certificate ends its session only where a role says so', () => {
    const at = (options: SessionOptions, now: number): unknown =>
      new SessionLimits(guest, options, () => 0).exceeded({now, monotonic: 0, stale: false, unrecorded: 0})
    const strict = {...nothing, disconnectExpiredCert: true}
    expect(at(strict, expires - 1)).toBeUndefined()
    expect(at(nothing, expires)).toBeUndefined()
    expect(at(strict, expires)).toMatchObject({
      error: {severity: 'FATAL', code: '28000'},
      reason: 'The client certificate expired at 2026-11-20T12:00:00.000Z.',
    })
  })

  it('a session of the mode node-sync ends when nobody has taken its records for ten seconds, others go on', () => {
    const at = (recording: 'node' | 'node-sync' | 'off', unrecorded: number): unknown =>
      new SessionLimits(guest, nothing, () => 0, recording).exceeded({now: 0, monotonic: 0, stale: false, unrecorded})
    const long = minutes(60)
    expect([at('node-sync', 9999), at('node', long), at('off', long)]).toEqual([undefined, undefined, undefined])
    expect(at('node-sync', 10_000)).toMatchObject({
      error: {severity: 'FATAL', code: '58030'},
      reason: 'The session cannot be recorded. The control plane has not taken its records for 10 seconds.',
    })
  })

  it('strict locks end a session as soon as it is not known which there are', () => {
    const at = (lock: SessionOptions['lock'], stale: boolean): string | undefined =>
      new SessionLimits(guest, {...nothing, lock}, () => 0).exceeded({now: 0, monotonic: 0, stale, unrecorded: 0})
        ?.error.code
    expect([at('strict', false), at('best_effort', true), at('strict', true)]).toEqual([undefined, undefined, '57P01'])
  })
})

describe('what a cluster limits', () => {
  const role = (options: NonNullable<Role['spec']['options']>): Role => ({...accessRole, spec: {options}})
  const networking = (timeout: string): ClusterNetworkingConfig => ({
    kind: 'cluster_networking_config',
    version: 'v2',
    metadata: {name: 'cluster-networking-config'},
    spec: {client_idle_timeout: timeout},
  })
  const preference = (spec: Partial<ClusterAuthPreference['spec']>): ClusterAuthPreference => ({
    kind: 'cluster_auth_preference',
    version: 'v2',
    metadata: {name: 'cluster-auth-preference'},
    spec: {type: 'local', disconnect_expired_cert: false, locking_mode: 'best_effort', ...spec},
  })

  it.each<[string, string, number | undefined]>([
    ['10m', 'never', minutes(10)],
    ['never', '5m', minutes(5)],
    ['10m', '5m', minutes(5)],
    ['3m', '5m', minutes(3)],
    ['0', 'never', undefined],
  ])('of the idle timeouts %s of a role and %s of the cluster the shorter one counts', (ofRole, ofCluster, counts) => {
    const limits = readClusterLimits(networking(ofCluster), undefined)
    expect(combineOptions([role({client_idle_timeout: ofRole})], limits).clientIdleTimeout).toBe(counts)
    expect(combineOptions([], limits).clientIdleTimeout).toBe(ofCluster === '5m' ? minutes(5) : undefined)
  })

  it('sessions end with their certificates when the cluster or a role says so', () => {
    const of = (ofRole: boolean, ofCluster: boolean): boolean =>
      combineOptions(
        [role({disconnect_expired_cert: ofRole})],
        readClusterLimits(undefined, preference({disconnect_expired_cert: ofCluster})),
      ).disconnectExpiredCert
    expect([of(false, false), of(true, false), of(false, true)]).toEqual([false, true, true])
  })

  it('the locking mode of the cluster is for users none of whose roles says one', () => {
    const of = (lock: SessionOptions['lock'] | '', mode: SessionOptions['lock']): string =>
      combineOptions([role({lock})], readClusterLimits(undefined, preference({locking_mode: mode}))).lock
    expect([of('', 'strict'), of('', 'best_effort')]).toEqual(['strict', 'best_effort'])
    expect([of('best_effort', 'strict'), of('strict', 'best_effort')]).toEqual(['best_effort', 'strict'])
  })
})

describe('what a role limits', () => {
  let plane: Plane
  let postgres: PostgresServer
  let rig: Rig
  /** Milliseconds that the agent's clock is ahead. */
  let ahead = 0
  /** And what it has not lived through of its monotonic time. */
  let missed = 0

  beforeAll(async () => {
    plane = await Plane.create()
    postgres = await startPostgresFor(plane, 'CREATE ROLE alice LOGIN REPLICATION', {wal_level: 'logical'})
    const clock = {now: () => systemClock.now() + ahead, monotonic: () => systemClock.monotonic() + missed}
    rig = await startRig({plane, uri: `127.0.0.1:${postgres.port}`, agent: {clock}})
  })

  afterAll(async () => {
    await rig.stop()
    await postgres.stop()
  })

  afterEach(() => {
    allow({}, {})
    ahead = 0
  })

  /** Changes the role, for new sessions and for those that are there. */
  function allow(options: NonNullable<Role['spec']['options']>, more: NonNullable<Role['spec']['allow']>): void {
    const item = {...accessRole, spec: {options, allow: {...accessRole.spec.allow, ...more}}}
    plane.put({kind: 'role', name: 'access', item})
  }

  it('F09: an idle session ends with 57P05 and the reason, a long query does not', async () => {
    const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: 'idle'})
    socket.write(ask.query('select pg_sleep(3)'))
    // On a machine that is held up it may be over already.
    const begun = "select 1 from pg_stat_activity where application_name = 'idle' and query like 'select pg_sleep%'"
    await until(async () => (await postgres.execute(begun)).length > 0, 'the query runs')
    allow({client_idle_timeout: '1s'}, {})
    expect((await reader.until('Z')).map(({type}) => type).join('')).toBe('TDCZ')
    expect(await reader.error()).toMatchObject({severity: 'FATAL', code: '57P05'})
    expect(await reader.next()).toBeUndefined()
    const events = await sessionEvents(plane, 'idle')
    const reason = 'The client was idle for longer than 1 second.'
    expect(events.slice(-2)).toMatchObject([
      {event: 'client.disconnect', code: 'T3006I', reason, user: 'alice'},
      {event: 'db.session.end', reason},
    ])
    expect(events.map(({ei}) => ei)).toEqual([0, 1, 2, 3])
  })

  it('a session is not idle when its client has spoken while the agent was held up', async () => {
    allow({client_idle_timeout: '1m'}, {})
    const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: 'held up'})
    // It has been looked at.
    await sleep(500)
    socket.write(ask.query('select 1'))
    missed += 61_000
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
    expect((await reader.until('Z')).map(({type}) => type).join('')).toBe('TDCZ')
    socket.destroy()
    const letsIn = async (): Promise<boolean> => {
      const again = await openSession(rig, await rig.guest()).catch(() => undefined)
      again?.socket.destroy()
      return again !== undefined
    }
    await until(letsIn, 'the agent is in touch again')
  })

  it('the idle timeout of the cluster ends sessions too, as soon as it is there', async () => {
    const {reader} = await openSession(rig, await rig.guest(), {application_name: 'idle in the cluster'})
    const name = 'cluster-networking-config'
    const item = {kind: 'cluster_networking_config', version: 'v2', metadata: {name}} as const
    plane.put({kind: 'cluster_networking_config', name, item: {...item, spec: {client_idle_timeout: '1s'}}})
    expect(await reader.error()).toMatchObject({severity: 'FATAL', code: '57P05'})
    plane.delete('cluster_networking_config', name)
    expect((await sessionEvents(plane, 'idle in the cluster')).at(-1)?.reason).toBe(
      'The client was idle for longer than 1 second.',
    )
  })

  it('a session that waits in the middle of its COPY data is idle', async () => {
    const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: 'stuck'})
    socket.write(ask.query('create temp table t (a text); copy t from stdin'))
    await reader.until('G')
    allow({client_idle_timeout: '1s'}, {})
    expect(await reader.error()).toMatchObject({code: '57P05'})
    expect((await sessionEvents(plane, 'stuck')).find(({code}) => code === 'TDB02W')).toMatchObject({
      execution: 'unanswered',
      copy: 'in',
      success: false,
    })
  })

  it('a session is idle also when its client has flushed the answers and never says Sync', async () => {
    const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: 'without Sync'})
    socket.write(Buffer.concat([ask.parse('s', 'select 1'), ask.bind('', 's'), ask.close('S', 's'), ask.flush]))
    expect((await reader.until('3')).map(({type}) => type).join('')).toBe('123')
    allow({client_idle_timeout: '1s'}, {})
    expect(await reader.error()).toMatchObject({severity: 'FATAL', code: '57P05'})
  })

  it('a session ends with its certificate', async () => {
    allow({disconnect_expired_cert: true}, {})
    const {reader} = await openSession(rig, await rig.guest(), {application_name: 'expiring'})
    ahead = minutes(31)
    expect(await reader.error()).toMatchObject({severity: 'FATAL', code: '28000'})
    expect((await sessionEvents(plane, 'expiring')).at(-1)?.reason).toMatch(/^The client certificate expired at 2/)
  })

  it('one session too many is refused with 53300, and the next one after an end is not', async () => {
    allow({max_connections: 2}, {})
    await until(() => rig.agent.sessions() === 0, 'nobody is there')
    const first = await openSession(rig, await rig.guest())
    const second = await openSession(rig, await rig.guest())
    const refused = await refusal(rig, await rig.guest())
    expect(refused).toMatchObject({severity: 'FATAL', code: '53300'})
    expect(refused?.message).toContain('Your roles allow 2 sessions at a time')
    await until(() => plane.events.some(({code}) => code === 'T1006W'), 'the refusal is audited')
    expect(plane.events.find(({code}) => code === 'T1006W')).toMatchObject({event: 'session.rejected', user: 'alice'})
    second.socket.destroy()
    await until(() => rig.agent.sessions() === 1, 'the second one has ended')
    const third = await openSession(rig, await rig.guest())
    expect(third.opening.at(-1)?.type).toBe('Z')
    for (const {socket} of [first, third]) socket.destroy()
  })

  it('one session too many of all agents together is refused; without an answer each agent counts its own', async () => {
    allow({max_connections: 2}, {})
    await until(() => rig.agent.sessions() === 0, 'nobody is there')
    plane.admits = false
    expect(await refusal(rig, await rig.guest())).toMatchObject({
      code: '53300',
      message: 'Your roles allow 2 sessions at a time, and you have as many.',
    })
    plane.admits = 'away'
    const first = await openSession(rig, await rig.guest())
    expect(first.opening.at(-1)?.type).toBe('Z')
    plane.admits = true
    first.socket.destroy()
  })

  it('one whose client has left holds no place while it cannot begin yet', async () => {
    allow({max_connections: 1}, {})
    await until(() => rig.agent.sessions() === 0, 'nobody is there')
    plane.admits = 'later'
    const told = async (count: number): Promise<void> => {
      await until(() => {
        plane.ask()
        return plane.opening?.length === count
      }, `${count} are about to begin`)
    }
    const socket = await rig.dial(await rig.guest())
    await greet(socket)
    socket.write(startup())
    await told(1)
    socket.destroy()
    await told(0)
    const rejected = (): number => plane.events.filter(({code}) => code === 'T1006W').length
    const before = rejected()
    plane.admits = false
    await until(() => rejected() > before, 'it is over')
    plane.admits = true
  })

  it('many that come at once are no more than allowed', async () => {
    allow({max_connections: 2}, {})
    await until(() => rig.agent.sessions() === 0, 'nobody is there')
    const credentials = await rig.guest()
    const all = await Promise.all(Array.from({length: 6}, () => openSession(rig, credentials)))
    expect(all.map(({opening}) => opening.at(-1)?.type).filter((type) => type === 'Z')).toHaveLength(2)
    for (const {socket} of all) socket.destroy()
  })

  it('B07: what a database user may not do, no way of writing the SQL does, and the audit says who refused it', async () => {
    await postgres.execute('create table kept (id int); insert into kept values (1); grant select on kept to alice')
    const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: 'reading'})
    const attempts = [
      ['select 1; commit; drop table kept', '42501'],
      ['/* select */ delete from kept', '42501'],
      ['with gone as (delete from kept returning *) select * from gone', '42501'],
      ['set transaction read write; update kept set id = 2', '42501'],
      ["do $$ begin execute 'truncate kept'; end $$", '42501'],
      ['copy kept from stdin', '42501'],
      ["select lo_import('/etc/hostname')", '42501'],
      ['explain analyze delete from kept', '42501'],
    ] as const
    for (const [sql] of attempts) {
      socket.write(ask.query(sql))
      expect((await reader.until('Z')).map(({type}) => type)).toContain('E')
    }
    socket.destroy()
    const statements = (await sessionEvents(plane, 'reading')).filter(({event}) => event === 'db.session.query')
    expect(statements.map(({code, db_query, sqlstate}) => [code, db_query, sqlstate])).toEqual(
      attempts.map(([sql, state]) => ['TDB02W', sql, state]),
    )
    expect(await postgres.execute('select * from kept')).toEqual([{id: 1}])
  })

  it('A13: replication only where a role allows it, and then it is audited as what it is', async () => {
    const parameters = {replication: 'database', application_name: 'walsender'}
    expect(await refusal(rig, await rig.guest(), parameters)).toMatchObject({code: '28000'})
    allow({}, {db_replication: true})
    const {socket, reader} = await openSession(rig, await rig.guest(), parameters)
    socket.write(ask.query('CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL pgoutput'))
    await reader.until('Z')
    await postgres.execute('create publication p for all tables')
    socket.write(ask.query(`START_REPLICATION SLOT s LOGICAL 0/0 (proto_version '1', publication_names 'p')`))
    expect((await reader.next())?.type).toBe('W')
    await reader.until('d')
    socket.write(ask.copyDone)
    await reader.until('Z')
    socket.destroy()
    const statements = (await sessionEvents(plane, 'walsender')).filter(({event}) => event === 'db.session.query')
    expect(statements).toMatchObject([
      {command: 'CREATE_REPLICATION_SLOT', success: true},
      {copy: 'both', success: true, results: [{command: 'COPY'}, {command: 'START_REPLICATION'}]},
    ])
    expect(statements[1]?.copy_bytes).toBeGreaterThan(0)
  })
})
