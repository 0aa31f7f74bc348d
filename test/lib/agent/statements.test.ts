import {describe, expect, it} from '@jest/globals'
import type {AuditEvent} from '../../../src/lib/audit/event.js'
import {encodeParameterStatus} from '../../../src/lib/pgwire/server-messages.js'
import {typeIds} from '../../../src/lib/pgwire/type-names.js'
import {answer, ask, Wire} from './wire.js'

const {bound, parsed, copyDone} = answer

/** What an event says of its statement, without what is the same in all. */
function told({db_query, db_query_parameters, affected_records, transaction_outcome, ...event}: AuditEvent): unknown[] {
  return [db_query, db_query_parameters ?? [], event.execution ?? event.success, affected_records, transaction_outcome]
}

/** Gives the milliseconds of processor time from here on: what a machine that is held up spends elsewhere does not count. */
function processorTime(): () => number {
  const began = process.cpuUsage()
  return () => {
    const {user, system} = process.cpuUsage(began)
    return (user + system) / 1000
  }
}

describe.each([65_536, 1])('the statements of a session, read in pieces of %i bytes', (step) => {
  it('B04: interleaved statements and portals, bound again, closed, read in parts: one record per Bind, all rows', () => {
    const wire = new Wire(step)
    wire.client(
      ...[ask.parse('S1', 'select a from t where x = $1'), ask.parse('S2', 'select b from u')],
      ...[ask.bind('P2', 'S1', ['one']), ask.bind('P1', 'S2'), ask.execute('P2', 2), ask.execute('P1'), ask.flush],
    )
    wire.server(...[parsed, parsed, bound, bound], answer.row(), answer.row(), answer.suspended)
    wire.server(answer.row(), answer.done('SELECT 1'))
    wire.client(ask.execute('P2'), ask.close('P', 'P2'), ask.bind('P2', 'S2'), ask.execute('P2', 1), ask.sync)
    wire.server(
      answer.row(),
      answer.done('SELECT 1'),
      answer.closed,
      bound,
      answer.row(),
      answer.suspended,
      answer.ready(),
    )
    expect(wire.statements.map(told)).toEqual([
      ['select a from t where x = $1', ['one'], true, 3, 'commit'],
      ['select b from u', [], true, 1, 'commit'],
      ['select b from u', [], 'partial', 1, 'commit'],
    ])
    expect(wire.statements.map(({statement_name, portal_name}) => [statement_name, portal_name])).toEqual([
      ['S1', 'P2'],
      ['S2', 'P1'],
      ['S2', 'P2'],
    ])
    expect(wire.asked).toHaveLength(3)
  })

  it('B04: a portal read in parts with a Sync behind each, as JDBC does it: one record with all rows, when it is at its end', () => {
    const wire = new Wire(step)
    wire.client(ask.query('begin'), ask.parse('', 'select n from t'), ask.bind('C', ''), ask.execute('C', 2), ask.sync)
    wire.server(answer.done('BEGIN'), answer.ready('T'), parsed, bound, answer.row(), answer.row(), answer.suspended)
    wire.server(answer.ready('T')).client(ask.query('select 2'))
    wire.server(answer.row(), answer.done('SELECT 1'), answer.ready('T')).client(ask.execute('C', 2), ask.sync)
    wire.server(answer.row(), answer.row(), answer.suspended, answer.ready('T'))
    expect(wire.statements.map(({db_query}) => db_query)).toEqual(['begin', 'select 2'])
    wire.client(ask.execute('C', 2), ask.sync).server(answer.row(), answer.done('SELECT 1'), answer.ready('T'))
    wire.client(ask.parse('', 'select m from t'), ask.bind('D', ''), ask.execute('D', 1), ask.sync)
    wire.server(parsed, bound, answer.row(), answer.suspended, answer.ready('T'))
    // A cursor of SQL: what each Execute is for, only the server knows.
    wire.client(ask.execute('cursor', 1), ask.sync).server(answer.row(), answer.suspended, answer.ready('T'))
    expect(wire.statements.slice(2).map(told)).toEqual([
      ['select n from t', [], true, 5, undefined],
      ['', [], true, 1, undefined],
    ])
    wire.client(ask.query('commit')).server(answer.done('COMMIT'), answer.ready())
    expect(wire.statements.slice(4).map(told)).toEqual([
      ['commit', [], true, 0, 'commit'],
      ['select m from t', [], 'partial', 1, undefined],
    ])
    expect(wire.asked).toHaveLength(6)
  })

  it('B05: what was never prepared or bound is unresolved, with the server’s error', () => {
    const wire = new Wire(step)
    wire.client(ask.bind('', 'unknown'), ask.execute(''), ask.sync).server(answer.error('26000'), answer.ready())
    wire.client(ask.execute('cursor'), ask.sync).server(answer.row(), answer.done('FETCH 1'), answer.ready())
    expect(wire.statements).toMatchObject([
      {code: 'TDB02W', unresolved: true, statement_name: 'unknown', sqlstate: '26000', success: false},
      {code: 'TDB02I', unresolved: true, portal_name: 'cursor', command: 'FETCH', affected_records: 1},
    ])
  })

  it('B06: what the server skips after an error is recorded as skipped', () => {
    const wire = new Wire(step)
    const all = (sql: string): Buffer[] => [ask.parse('', sql), ask.bind('', ''), ask.execute('')]
    wire.client(...all('insert into t values (1)'), ...all('select 1/0'), ...all('delete from t'), ask.sync)
    wire.server(parsed, bound, answer.done('INSERT 0 1'), parsed, bound, answer.error('22012'), answer.ready())
    wire
      .client(...all('select 2'), ask.sync)
      .server(parsed, bound, answer.row(), answer.done('SELECT 1'), answer.ready())
    expect(wire.statements.map(told)).toEqual([
      ['insert into t values (1)', [], true, 1, 'rollback'],
      ['select 1/0', [], false, 0, 'rollback'],
      ['delete from t', [], 'skipped', 0, undefined],
      ['select 2', [], true, 1, 'commit'],
    ])
    expect(wire.statements[1]).toMatchObject({error: 'ERROR: no (SQLSTATE 22012)', sqlstate: '22012'})
  })

  it('B06: so is what the client sends before it knows of the error, and names keep what they meant', () => {
    const wire = new Wire(step)
    wire.client(ask.parse('s', 'select 1'), ask.sync).server(parsed, answer.ready())
    wire.client(ask.parse('x', 'selec'), ask.close('S', 's'), ask.parse('s', 'select 2'), ask.flush)
    wire.server(answer.error('42601'))
    wire.client(ask.bind('', 's'), ask.execute(''), ask.sync).server(answer.ready())
    wire.client(ask.bind('', 's'), ask.execute(''), ask.sync).server(bound, answer.done('SELECT 1'), answer.ready())
    expect(wire.statements.map(told)).toEqual([
      // Its Close was the last chance to say what was prepared.
      ['select 1', [], 'none', 0, undefined],
      ['selec', [], false, 0, 'rollback'],
      ['select 1', [], 'skipped', 0, undefined],
      ['select 1', [], true, 1, 'commit'],
    ])
  })

  it('a failed Parse is one record together with the Bind that follows it', () => {
    const wire = new Wire(step)
    wire.client(ask.parse('', 'selec $1'), ask.bind('', '', ['7']), ask.describe('P', ''), ask.execute(''), ask.sync)
    wire.server(answer.error('42601'), answer.ready())
    expect(wire.statements).toMatchObject([{db_query: 'selec $1', db_query_parameters: ['7'], sqlstate: '42601'}])
    expect(wire.asked).toHaveLength(1)
  })

  it('names that are taken away by DEALLOCATE or DISCARD mean nothing any more, and others what they meant', () => {
    const wire = new Wire(step)
    const run = (name: string): void => {
      wire.client(ask.bind('', name), ask.execute(''), ask.sync).server(bound, answer.done('SELECT 1'), answer.ready())
    }
    const prepare = (name: string): void => {
      wire.client(ask.parse(name, `select '${name}'`), ask.sync).server(parsed, answer.ready())
    }
    for (const name of ['a', 'b c', 'd']) prepare(name)
    const deallocate = `select ';' /* deallocate d */; Deallocate Prepare "b c"`
    wire.client(ask.query(deallocate)).server(answer.done('SELECT 1'), answer.done('DEALLOCATE'), answer.ready())
    run('b c')
    run('d')
    // Sent before the answer to DISCARD ALL comes: this one stays.
    wire.client(ask.query('discard all'), ask.parse('e', `select 'e'`), ask.sync)
    wire.server(answer.done('DISCARD ALL'), answer.ready(), parsed, answer.ready())
    run('a')
    run('e')
    wire.client(ask.query('prepare p as select 9')).server(answer.done('PREPARE'), answer.ready())
    run('p')
    const bound_ = wire.statements.filter(({statement_name, execution}) => statement_name && execution !== 'none')
    expect(bound_.map(({statement_name, db_query, unresolved}) => [statement_name, unresolved ?? db_query])).toEqual([
      ['b c', true],
      ['d', "select 'd'"],
      ['a', true],
      ['e', "select 'e'"],
      ['p', 'prepare p as select 9'],
    ])
  })

  it('B04: a name means what it means to the server, not what a message that failed or was skipped would have made of it', () => {
    const wire = new Wire(step)
    wire.client(ask.parse('s', 'delete from t where x = $1'), ask.sync).server(parsed, answer.ready())
    const pretend = [ask.parse('', 'selec'), ask.parse('s', 'select $1'), ask.sync]
    wire.client(...pretend, ask.bind('', 's', ['7']), ask.execute(''), ask.sync)
    wire.server(answer.error('42601'), answer.ready(), bound, answer.done('DELETE 3'), answer.ready())
    wire.client(
      ask.parse('', 'selec'),
      ask.close('S', 's'),
      ask.sync,
      ask.bind('', 's', ['8']),
      ask.execute(''),
      ask.sync,
    )
    wire.server(answer.error('42601'), answer.ready(), bound, answer.done('DELETE 1'), answer.ready())
    const run = wire.statements.filter(({sqlstate, execution}) => sqlstate === undefined && execution !== 'none')
    expect(run.map(told)).toEqual([
      ['delete from t where x = $1', ['7'], true, 3, 'commit'],
      ['delete from t where x = $1', ['8'], true, 1, 'commit'],
    ])
    // For whoever reads the spool after a crash the newest line counts.
    expect(wire.asked.filter(({statement}) => statement === 1).map(({fields}) => fields)).toMatchObject([
      {db_query: 'select $1'},
      {db_query: 'delete from t where x = $1'},
    ])
  })

  it('B04: a name that SQL gives to something else means that, also for what was sent before the answer', () => {
    const wire = new Wire(step)
    const run = (sql: string, ...tags: string[]): unknown => {
      wire.client(ask.parse('s', 'select 1'), ask.sync).server(parsed, answer.ready())
      wire.client(ask.query(sql), ask.bind('', 's'), ask.execute(''), ask.sync)
      wire.server(...tags.map(answer.done), answer.ready(), bound, answer.done('DELETE 1'), answer.ready())
      const {db_query, unresolved} = wire.statements.at(-1) ?? {}
      wire.client(ask.query('deallocate all')).server(answer.done('DEALLOCATE ALL'), answer.ready())
      return unresolved ?? db_query
    }
    const change = 'deallocate s; prepare s as delete from t'
    expect(run(change, 'DEALLOCATE', 'PREPARE')).toBe(change)
    // A carriage return ends a comment as well.
    const hidden = `select 1 --\r; ${change} --\n; deallocate x; prepare y as select 2`
    expect(run(hidden, 'SELECT 1', 'DEALLOCATE', 'PREPARE')).toBe(hidden)
    // What these are about the text alone does not say.
    for (const sql of [
      String.raw`select '\'; deallocate x; --'; deallocate s; prepare s as delete from t`,
      String.raw`deallocate U&"\0073"; prepare s as delete from t`,
      `/* ${'x'.repeat(70_000)} */ deallocate s; prepare s as delete from t`,
    ]) {
      const tags = sql.startsWith('select') ? ['SELECT 1', 'DEALLOCATE', 'PREPARE'] : ['DEALLOCATE', 'PREPARE']
      expect(run(sql, ...tags)).toBe(true)
    }
  })

  it('a name in SQL is folded and cut as the server does it, and is nobody knows whose where that cannot be said', () => {
    const wire = new Wire(step)
    const run = (name: string, other: string): unknown => {
      wire.client(ask.parse(name, 'delete from t'), ask.sync).server(parsed, answer.ready())
      wire.client(ask.query(`deallocate ${other}`)).server(answer.done('DEALLOCATE'), answer.ready())
      wire.client(ask.query(`prepare ${other} as select 1`)).server(answer.done('PREPARE'), answer.ready())
      wire.client(ask.bind('', name), ask.execute(''), ask.sync)
      wire.server(bound, answer.done('DELETE 1'), answer.ready())
      const {db_query, unresolved} = wire.statements.at(-1) ?? {}
      wire.client(ask.query('deallocate all')).server(answer.done('DEALLOCATE ALL'), answer.ready())
      return unresolved ?? db_query
    }
    expect(run('k', 'K')).toBe('prepare K as select 1')
    // This one is the sign for kelvins, whose small letter is a k in Unicode and not in PostgreSQL.
    expect(run('k', '\u212a')).toBe(true)
    const long = 'x'.repeat(63)
    expect(run(long, `${long}y`)).toBe(`prepare ${long}y as select 1`)
    expect(run('é', '"é"')).toBe('prepare "é" as select 1')
  })

  it('what is prepared by a PREPARE with a name or parameters of its own has none of them', () => {
    const wire = new Wire(step)
    wire.client(ask.parse('s', 'prepare x as select 1'), ask.bind('p', 's', ['7']), ask.execute('p'), ask.sync)
    wire.server(parsed, bound, answer.done('PREPARE'), answer.ready())
    wire.client(ask.bind('', 'x'), ask.execute(''), ask.sync).server(bound, answer.done('SELECT 1'), answer.ready())
    const [{db_query_parameters, statement_name, portal_name}, run] = wire.statements as [AuditEvent, AuditEvent]
    expect([db_query_parameters, statement_name, portal_name]).toEqual([['7'], 's', 'p'])
    expect(run).toMatchObject({db_query: 'prepare x as select 1', statement_name: 'x'})
    expect([run.db_query_parameters, run.portal_name]).toEqual([undefined, undefined])
  })

  it('names that are not ASCII mean nothing any more in another encoding', () => {
    const wire = new Wire(step)
    wire.client(ask.query('begin'), ask.parse('é', 'delete from t'), ask.bind('è', 'é'), ask.parse('e', 'select 1'))
    wire.client(ask.sync, ask.query('set client_encoding to EUC_TW'))
    wire.server(answer.done('BEGIN'), answer.ready('T'), parsed, bound, parsed, answer.ready('T'))
    wire.server(answer.done('SET'), encodeParameterStatus('client_encoding', 'EUC_TW'), answer.ready('T'))
    wire.client(ask.bind('', 'é'), ask.execute(''), ask.execute('è'), ask.bind('', 'e'), ask.execute(''), ask.sync)
    wire.server(bound, answer.done('DELETE 1'), answer.done('DELETE 1'), bound, answer.done('SELECT 1'))
    expect(wire.end()).toEqual({transaction: 1, fate: 'rollback'})
    const ran = wire.statements.filter(({command}) => command === 'DELETE' || command === 'SELECT')
    expect(ran.map(({db_query, unresolved}) => unresolved ?? db_query)).toEqual([true, true, 'select 1'])
  })

  it('B04: a portal is what the server has under its name, also behind a savepoint, CLOSE and DECLARE', () => {
    const wire = new Wire(step)
    wire.client(ask.query('begin; savepoint a'), ask.parse('s', 'delete from t'), ask.bind('p', 's'), ask.sync)
    wire.server(answer.done('BEGIN'), answer.done('SAVEPOINT'), answer.ready('T'), parsed, bound, answer.ready('T'))
    const pretend = [ask.parse('', 'selec'), ask.parse('x', 'select 1'), ask.bind('p', 'x'), ask.execute('p'), ask.sync]
    wire.client(...pretend, ask.query('rollback to a'), ask.execute('p'), ask.sync)
    wire.server(answer.error('42601'), answer.ready('E'), answer.done('ROLLBACK'), answer.ready('T'))
    wire.server(answer.done('DELETE 4'), answer.ready('T'))
    expect(wire.statements.slice(1).map(told)).toEqual([
      ['selec', [], false, 0, undefined],
      ['select 1', [], 'skipped', 0, undefined],
      ['rollback to a', [], true, 0, undefined],
      ['delete from t', [], true, 4, undefined],
    ])
    wire.client(ask.parse('', 'select 1'), ask.bind('c', ''), ask.bind('d', ''), ask.sync)
    wire.server(parsed, bound, bound, answer.ready('T'))
    wire.client(ask.query('close c; declare c cursor for select secret; close all; declare d cursor for select secret'))
    wire.client(ask.execute('c'), ask.execute('d'), ask.sync)
    const tags = ['CLOSE CURSOR', 'DECLARE CURSOR', 'CLOSE CURSOR ALL', 'DECLARE CURSOR']
    wire.server(...tags.map(answer.done), answer.ready('T'), answer.done('SELECT 1'), answer.done('SELECT 1'))
    wire.server(answer.ready('T'))
    expect(wire.statements.slice(-2)).toMatchObject([
      {portal_name: 'c', unresolved: true, affected_records: 1},
      {portal_name: 'd', unresolved: true, affected_records: 1},
    ])
  })

  it('what is prepared and run by EXECUTE has its SQL recorded before, and once', () => {
    const wire = new Wire(step)
    const named = [ask.parse('a', 'delete from t'), ask.parse('b', 'select 1'), ask.parse('', 'select 2'), ask.sync]
    wire.client(...named).server(parsed, parsed, parsed, answer.ready())
    wire.client(ask.bind('', 'b')).server(bound)
    expect(wire.events).toEqual([])
    wire.client(ask.query('select 0')).server(answer.done('SELECT 1'), answer.ready())
    wire.client(ask.query('execute a'))
    expect(wire.statements.slice(2)).toMatchObject([
      {db_query: 'delete from t', statement_name: 'a', execution: 'none', affected_records: 0},
    ])
    wire.server(answer.done('DELETE 5'), answer.ready()).client(ask.query('execute a'))
    wire.server(answer.done('DELETE 0'), answer.ready())
    wire.client(ask.parse('c', 'selec'), ask.sync).server(answer.error('42601'), answer.ready())
    wire.client(ask.query('select 3')).server(answer.done('SELECT 1'), answer.ready())
    wire.client(ask.parse('d', 'select 4'), ask.close('S', 'd'), ask.parse('e', 'select 5'), ask.sync)
    wire.server(parsed, answer.closed, parsed, answer.ready()).end()
    expect(wire.statements.map(({db_query}) => db_query)).toEqual([
      ...[
        'select 0',
        'select 1',
        'delete from t',
        'execute a',
        'execute a',
        'selec',
        'select 3',
        'select 4',
        'select 5',
      ],
    ])
  })

  it('a portal that its transaction took away before it was executed was not executed', () => {
    const wire = new Wire(step)
    wire.client(ask.parse('', 'delete from t'), ask.bind('', ''), ask.sync, ask.execute(''), ask.sync)
    wire.server(parsed, bound, answer.ready(), answer.error('34000'), answer.ready())
    expect(wire.statements).toMatchObject([
      {db_query: 'delete from t', execution: 'none', success: false},
      {unresolved: true, sqlstate: '34000'},
    ])
  })

  it('parameters are decoded by format and type, and NULL is not the empty text', () => {
    const wire = new Wire(step)
    wire.client(ask.parse('s', 'select $1, $2, $3, $4', [typeIds.int4]), ask.describe('S', 's'), ask.sync)
    wire.server(parsed, answer.parameters(typeIds.int4, typeIds.text, 0, typeIds.uuid), answer.noData, answer.ready())
    const number = Buffer.alloc(4)
    number.writeInt32BE(-7)
    const uuid = Buffer.from('00112233445566778899aabbccddeeff', 'hex')
    wire.client(ask.bind('', 's', [number, '', null, uuid]), ask.execute(''), ask.sync)
    wire.server(bound, answer.done('SELECT 1'), answer.ready())
    expect(wire.statements[0]?.db_query_parameters).toEqual(['-7', '', null, '00112233-4455-6677-8899-aabbccddeeff'])
  })

  it('a simple query with several statements is one record with the result of each', () => {
    const wire = new Wire(step)
    wire.client(ask.query('select 1; update t set a = 2; select x from u'))
    wire.server(
      answer.columns(['?column?', typeIds.int4]),
      answer.row(),
      answer.done('SELECT 1'),
      answer.done('UPDATE 3'),
    )
    wire.server(answer.columns(['x', typeIds.text], ['y', 99_999]), answer.error('22012'), answer.ready())
    expect(wire.statements).toMatchObject([
      {
        success: false,
        sqlstate: '22012',
        affected_records: 4,
        results: [
          {command: 'SELECT', affected_records: 1, columns: [{name: '?column?', type: 'int4'}]},
          {command: 'UPDATE', affected_records: 3},
        ],
        columns: [
          {name: 'x', type: 'text'},
          {name: 'y', type: '99999'},
        ],
        transaction_outcome: 'rollback',
      },
    ])
  })

  it('measures what a statement moved, each way, and of a COPY the bytes and nothing else', () => {
    const wire = new Wire(step)
    const copy = ask.query('copy t from stdin')
    wire.client(copy).server(answer.copyIn)
    wire.client(ask.copyData('1\n2\n'), ask.copyData('3\n'), ask.copyDone).server(answer.done('COPY 3'), answer.ready())
    const out = [answer.copyOut, answer.copyData('1\n'), answer.copyData('22\n'), copyDone, answer.done('COPY 2')]
    wire.client(ask.query('copy t to stdout')).server(...out, answer.ready())
    expect(wire.statements).toMatchObject([
      {copy: 'in', copy_bytes: 6, affected_records: 3, command: 'COPY', bytes_from_client: copy.length},
      {
        copy: 'out',
        copy_bytes: 5,
        affected_records: 2,
        bytes_from_server: Buffer.concat([...out, answer.ready()]).length,
      },
    ])
    expect(JSON.stringify(wire.events)).not.toContain('22\\n')
  })

  it('counts the bytes of every COPY in a query', () => {
    const wire = new Wire(step)
    const out = (text: string): Buffer[] => [answer.copyOut, answer.copyData(text), copyDone, answer.done('COPY 1')]
    wire.client(ask.query('copy t to stdout; copy u to stdout')).server(...out('1\n'), ...out('22\n'), answer.ready())
    wire.client(ask.query('copy t from stdin; copy t to stdout; copy t from stdin')).server(answer.copyIn)
    wire.client(ask.copyData('1\n'), ask.copyDone).server(answer.done('COPY 1'), ...out('333\n'), answer.copyIn)
    wire.client(ask.copyData('4444\n'), ask.copyDone).server(answer.done('COPY 1'), answer.ready())
    expect(wire.statements).toMatchObject([
      {copy: 'out', copy_bytes: 5, affected_records: 2},
      {copy: 'both', copy_bytes: 11, affected_records: 3},
    ])
    const pipelined = new Wire(step)
    pipelined.client(ask.query('copy t from stdin'), ask.copyData('1\n'), ask.copyDone)
    pipelined.client(ask.query('copy u from stdin'), ask.copyData('22\n'), ask.copyDone)
    const copied = [answer.copyIn, answer.done('COPY 1'), answer.ready()]
    pipelined.server(...copied, ...copied)
    expect(pipelined.statements).toMatchObject([{copy_bytes: 2}, {copy_bytes: 3}])
  })

  it('B08: a COPY that fails, on either side, and what came behind it', () => {
    const wire = new Wire(step)
    wire.client(ask.query('copy t from stdin')).server(answer.copyIn)
    wire.client(ask.copyData('1\n'), ask.copyFail).server(answer.error('57014'), answer.ready())
    wire.client(ask.parse('', 'copy t from stdin'), ask.bind('', ''), ask.execute(''), ask.sync)
    wire.client(ask.copyData('x'), ask.copyDone, ask.sync)
    wire.server(parsed, bound, answer.copyIn, answer.error('22P02'), answer.ready())
    wire.client(ask.query('select 1')).server(answer.done('SELECT 1'), answer.ready())
    expect(wire.statements).toMatchObject([
      {success: false, sqlstate: '57014', copy: 'in', copy_bytes: 2},
      {success: false, sqlstate: '22P02', copy: 'in', copy_bytes: 1},
      {success: true, db_query: 'select 1'},
    ])
  })

  it('B08: a COPY that fails does not read the Sync behind it, whose answer is no answer to the next query', () => {
    const wire = new Wire(step)
    wire.client(ask.query('copy t from stdin')).server(answer.copyIn)
    wire.client(ask.copyData('x'), ask.sync).server(answer.error('22P02'), answer.ready())
    wire.client(ask.query('select 1/0')).server(answer.ready(), answer.error('22012'), answer.ready())
    wire.client(ask.call(1598, [])).server(answer.result, answer.ready())
    expect(wire.statements).toMatchObject([
      {db_query: 'copy t from stdin', success: false, sqlstate: '22P02'},
      {db_query: 'select 1/0', success: false, sqlstate: '22012', transaction_outcome: 'rollback'},
      {function_oid: 1598, success: true},
    ])
  })

  it('B08: neither does one of the extended protocol, and what comes after it is not skipped', () => {
    const wire = new Wire(step)
    wire.client(ask.parse('', 'copy t from stdin'), ask.bind('', ''), ask.execute(''), ask.flush)
    wire.server(parsed, bound, answer.copyIn).client(ask.copyData('x'), ask.sync)
    wire.server(answer.error('22P02'), answer.ready())
    wire.client(ask.query('delete from t')).server(answer.done('DELETE 5'), answer.ready())
    expect(wire.statements.map(told)).toEqual([
      ['copy t from stdin', [], false, 0, 'rollback'],
      ['delete from t', [], true, 5, 'commit'],
    ])
    // One that is read in the COPY has no answer, and no later one is taken for it.
    wire.client(ask.parse('', 'copy t from stdin'), ask.bind('', ''), ask.execute(''), ask.sync)
    wire.server(parsed, bound, answer.copyIn).client(ask.copyData('x')).server(answer.error('22P02'))
    wire.client(ask.copyFail, ask.sync).server(answer.ready())
    wire.client(ask.parse('', 'selec'), ask.bind('', ''), ask.flush).server(answer.error('42601'))
    wire.client(ask.execute(''), ask.query('select 2'), ask.sync).server(answer.ready())
    expect(wire.requests.misplaced).toBeUndefined()
    expect(wire.statements.slice(2).map(told)).toEqual([
      ['copy t from stdin', [], false, 0, 'rollback'],
      ['selec', [], false, 0, 'rollback'],
      ['select 2', [], 'skipped', 0, undefined],
    ])
  })

  it('a request in the place of COPY data is none of which could be said what the server does', () => {
    const known = new Wire(step)
    known.client(ask.query('copy t from stdin')).server(answer.copyIn)
    known.client(ask.copyData('1\n'))
    expect(known.requests.misplaced).toBeUndefined()
    known.client(ask.query('drop table t'))
    expect(known.requests.misplaced).toBeDefined()

    const unknown = new Wire(step)
    unknown.client(ask.query('copy t from stdin'), ask.copyData('x'), ask.sync, ask.query('drop table t'))
    expect(unknown.requests.misplaced).toBeUndefined()
    unknown.server(answer.copyIn)
    expect(unknown.requests.misplaced).toBeDefined()

    const behindError = new Wire(step)
    behindError.client(ask.parse('', 'copy t from stdin'), ask.bind('', ''), ask.execute('')).server(parsed, bound)
    behindError.server(answer.copyIn).client(ask.copyData('x'), ask.sync).server(answer.error('22P02'))
    behindError.client(ask.query('drop table t'))
    expect(behindError.requests.misplaced).toBeDefined()

    const behindEnd = new Wire(step)
    behindEnd.client(ask.parse('', 'copy t from stdin'), ask.bind('', ''), ask.execute(''), ask.copyData('x'), ask.sync)
    behindEnd.client(ask.copyDone, ask.parse('', 'drop table t'), ask.bind('', ''), ask.execute(''), ask.sync)
    behindEnd.server(parsed, bound, answer.copyIn, answer.error('22P02'))
    expect(behindEnd.requests.misplaced).toBeDefined()
    behindEnd.end()
    expect(behindEnd.statements.map(told)).toEqual([
      ['copy t from stdin', [], false, 0, 'in doubt'],
      ['drop table t', [], 'unanswered', 0, 'in doubt'],
    ])

    const ordinary = new Wire(step)
    ordinary.client(ask.query('copy t from stdin'), ask.copyData('x'), ask.copyDone, ask.query('select 1'))
    ordinary.server(answer.copyIn, answer.done('COPY 1'), answer.ready(), answer.done('SELECT 1'), answer.ready())
    expect(ordinary.requests.misplaced).toBeUndefined()
    expect(ordinary.statements.map(told)).toEqual([
      ['copy t from stdin', [], true, 1, 'commit'],
      ['select 1', [], true, 1, 'commit'],
    ])
  })

  it('B08: function calls have their arguments and their outcome', () => {
    const wire = new Wire(step)
    wire.client(ask.call(1598, ['a', null])).server(answer.result, answer.ready())
    wire.client(ask.call(1598, [])).server(answer.error('42883'), answer.ready())
    // As libpq calls lo_lseek.
    const [object, place, whence] = [0, -7, 2].map((number) => {
      const bytes = Buffer.alloc(4)
      bytes.writeInt32BE(number)
      return bytes
    })
    wire.client(ask.call(956, [object ?? '', place ?? '', whence ?? ''])).server(answer.result, answer.ready())
    expect(wire.statements).toMatchObject([
      {code: 'TPG04I', function_oid: 1598, function_args: ['a', null], success: true, transaction_outcome: 'commit'},
      {code: 'TPG04W', success: false, sqlstate: '42883', transaction_outcome: 'rollback'},
      {function_oid: 956, function_args: ['0', '-7', '2']},
    ])
  })
})

describe('the fate of a transaction', () => {
  const run = (wire: Wire, sql: string, tag: string, status: 'I' | 'T' | 'E'): void => {
    wire.client(ask.query(sql)).server(...tag.split(', ').map(answer.done), answer.ready(status))
  }
  const fates = ({statements}: Wire): unknown[] =>
    statements.map(({transaction, transaction_outcome: fate}) => [transaction, fate])

  it('is said by the statement that ends the block', () => {
    const wire = new Wire()
    run(wire, 'begin', 'BEGIN', 'T')
    run(wire, 'delete from t', 'DELETE 5', 'T')
    run(wire, 'rollback to savepoint s', 'ROLLBACK', 'T')
    run(wire, 'rollback', 'ROLLBACK', 'I')
    run(wire, 'begin', 'BEGIN', 'T')
    run(wire, 'commit and chain', 'COMMIT', 'T')
    run(wire, "prepare transaction 'x'", 'PREPARE TRANSACTION', 'I')
    run(wire, 'select 1', 'SELECT 1', 'I')
    expect(fates(wire)).toEqual([
      ...[
        [1, undefined],
        [1, undefined],
        [1, undefined],
        [1, 'rollback'],
      ],
      ...[
        [2, undefined],
        [2, 'commit'],
        [3, 'prepared'],
        [4, 'commit'],
      ],
    ])
  })

  it('is that of each transaction in one query, and never a commit when that is not certain', () => {
    const wire = new Wire()
    run(wire, 'insert; commit; insert; rollback', 'INSERT 0 1, COMMIT, INSERT 0 1, ROLLBACK', 'I')
    run(wire, 'begin; delete; rollback /* to */', 'BEGIN, DELETE 1, ROLLBACK', 'I')
    run(wire, 'begin; savepoint s; delete; rollback to s; commit', 'BEGIN, SAVEPOINT, DELETE 1, ROLLBACK, COMMIT', 'I')
    wire.client(ask.query('begin; commit; select 1/0'))
    wire.server(answer.done('BEGIN'), answer.done('COMMIT'), answer.error('22012'), answer.ready())
    expect(wire.statements.map(({transaction_outcome: fate}) => fate)).toEqual(['mixed', 'rollback', 'commit', 'mixed'])
  })

  it('is told of each transaction that a query had a part in, and none of one that it left open', () => {
    const wire = new Wire()
    run(wire, 'begin', 'BEGIN', 'T')
    run(wire, 'commit; begin', 'COMMIT, BEGIN', 'T')
    run(wire, 'rollback; select 1', 'ROLLBACK, SELECT 1', 'I')
    expect(fates(wire)).toEqual([
      [1, undefined],
      [1, 'commit'],
      [2, 'mixed'],
    ])
    expect(wire.statements.map(({transactions}) => transactions)).toEqual([
      undefined,
      [{transaction: 1, transaction_outcome: 'commit'}, {transaction: 2}],
      [
        {transaction: 2, transaction_outcome: 'rollback'},
        {transaction: 3, transaction_outcome: 'commit'},
      ],
    ])
    run(wire, 'begin;commit;'.repeat(200), 'BEGIN, COMMIT, '.repeat(200).slice(0, -2), 'I')
    const all = wire.statements.at(-1)?.transactions as AuditEvent[]
    expect(all).toHaveLength(100)
    expect(all.at(-1)).toEqual({transaction: 203, transaction_outcome: 'commit'})
  })

  it('is unknown when a ROLLBACK may have been one to a savepoint', () => {
    const fateOf = (sql: string, tag: string): unknown => {
      const wire = new Wire()
      run(wire, 'begin; insert; savepoint s', 'BEGIN, INSERT 0 1, SAVEPOINT', 'T')
      run(wire, sql, tag, 'T')
      return wire.statements.at(-1)?.transaction_outcome
    }
    expect(fateOf(String.raw`select '\'; rollback /*;*/ to s`, 'SELECT 1, ROLLBACK')).toBe('unknown')
    expect(fateOf(String.raw`select '\';` + '\nrollback to s', 'SELECT 1, ROLLBACK')).toBe('unknown')
    expect(fateOf('execute prepared_by_a_message', 'ROLLBACK')).toBe('unknown')
    expect(fateOf('abort', 'ROLLBACK')).toBe('rollback')
  })

  it('is a rollback when the server cannot commit what is complete', () => {
    const wire = new Wire()
    wire.client(ask.parse('', 'insert'), ask.bind('', ''), ask.execute(''), ask.sync)
    wire.server(parsed, bound, answer.done('INSERT 0 1'), answer.error('23503'), answer.ready())
    expect(wire.statements).toMatchObject([{success: false, sqlstate: '23503', transaction_outcome: 'rollback'}])
  })

  it('is not known when a procedure or block of code may have committed a part of what failed then', () => {
    const wire = new Wire()
    const fail = (sql: string): void => {
      wire.client(ask.query(sql)).server(answer.error('22012'), answer.ready(wire.requests.transactions.status))
    }
    for (const sql of ['/* x */ call p()', 'do $$ commit $$', 'insert into t select 1 on conflict do nothing'])
      fail(sql)
    const further = new Wire()
    const hidden = String.raw`select '\''; call p(); --'`
    for (const sql of ['\n\tcall p()', 'analyze', hidden, '\nselect 1/0; -- call'])
      further.client(ask.query(sql)).server(answer.error('22012'), answer.ready())
    const found = further.statements.map(({transaction_outcome: fate}) => fate)
    expect(found).toEqual(['unknown', 'unknown', 'unknown', 'rollback'])
    wire.client(ask.parse('', 'call p()'), ask.bind('', ''), ask.execute(''), ask.query('select 1/0'))
    wire.server(parsed, bound, answer.done('CALL'), answer.error('22012'), answer.ready())
    run(wire, 'begin', 'BEGIN', 'T')
    fail('call p()')
    run(wire, 'rollback', 'ROLLBACK', 'I')
    expect(fates(wire)).toEqual([
      [1, 'unknown'],
      [2, 'unknown'],
      [3, 'rollback'],
      [4, 'unknown'],
      [4, 'rollback'],
      [5, undefined],
      [5, undefined],
      [5, 'rollback'],
    ])
  })

  it('is said by the last statement when a query comes behind an Execute without a Sync', () => {
    const started = (): Wire => {
      const wire = new Wire()
      wire.client(ask.parse('', 'insert'), ask.bind('', ''), ask.execute(''), ask.query('select 1'))
      wire.server(parsed, bound, answer.done('INSERT 0 1'), answer.done('SELECT 1'), answer.ready('T'))
      expect(fates(wire)).toEqual([[1, undefined]])
      return wire
    }
    const synced = started()
    synced.client(ask.sync).server(answer.ready('I'))
    run(synced, 'select 2', 'SELECT 1', 'I')
    expect(fates(synced)).toEqual([
      [1, undefined],
      [1, 'unknown'],
      [2, 'commit'],
    ])
    const failed = started()
    failed.client(ask.bind('', 'unknown'), ask.sync).server(answer.error('26000'), answer.ready('I'))
    expect(fates(failed).slice(0, 2)).toEqual([
      [1, undefined],
      [1, 'rollback'],
    ])
    const longer = started()
    longer.client(ask.bind('', ''), ask.execute(''), ask.sync)
    longer.server(bound, answer.done('INSERT 0 1'), answer.ready('I'))
    expect(fates(longer)).toEqual([
      [1, undefined],
      [1, 'commit'],
      [1, 'commit'],
    ])
    const left = started()
    expect(left.end()).toEqual({transaction: 1, fate: 'rollback'})
    expect(fates(left).at(-1)).toEqual([1, 'rollback'])
  })

  it('is unknown when a CALL may have committed something before a query behind it, and all of it failed', () => {
    const wire = new Wire()
    wire.client(ask.parse('', 'call p()'), ask.bind('', ''), ask.execute(''), ask.query('select 1'))
    wire.server(parsed, bound, answer.done('CALL'), answer.done('SELECT 1'), answer.ready('T'))
    wire.client(ask.bind('', 'unknown'), ask.sync).server(answer.error('26000'), answer.ready('I'))
    expect(fates(wire).slice(0, 2)).toEqual([
      [1, undefined],
      [1, 'unknown'],
    ])
  })

  it('is unknown when a CALL before a block may have committed something, whatever the block comes to', () => {
    const started = (): Wire => {
      const wire = new Wire()
      const call = [ask.parse('', 'call p()'), ask.bind('', ''), ask.execute('')]
      wire.client(...call, ask.query('begin')).server(parsed, bound, answer.done('CALL'))
      return wire.server(answer.done('BEGIN'), answer.ready('T'))
    }
    const left = started()
    expect(left.end()).toEqual({transaction: 1, fate: 'unknown'})
    const rolledBack = started()
    run(rolledBack, 'rollback', 'ROLLBACK', 'I')
    expect(fates(rolledBack).at(-1)).toEqual([1, 'unknown'])
    const inOnePipeline = new Wire()
    const begin = [ask.parse('', 'begin'), ask.bind('', ''), ask.execute('')]
    inOnePipeline.client(ask.parse('', 'call p()'), ask.bind('', ''), ask.execute(''), ...begin, ask.sync)
    inOnePipeline.server(parsed, bound, answer.done('CALL'), parsed, bound, answer.done('BEGIN'), answer.ready('T'))
    run(inOnePipeline, 'rollback', 'ROLLBACK', 'I')
    expect(fates(inOnePipeline).at(-1)).toEqual([1, 'unknown'])
  })

  it('is a rollback when the error is that of no statement', () => {
    const wire = new Wire()
    wire.client(ask.parse('', 'insert'), ask.bind('', ''), ask.execute(''), ask.describe('P', 'unknown'), ask.sync)
    wire.server(parsed, bound, answer.done('INSERT 0 1'), answer.error('34000'), answer.ready())
    expect(wire.statements).toMatchObject([{success: true, transaction_outcome: 'rollback'}])
  })

  it('is in doubt when the session ends before the answer, and a rollback where nothing could commit', () => {
    const autocommit = new Wire()
    autocommit.client(ask.query('delete from t'))
    expect(autocommit.end()).toBeUndefined()
    expect(autocommit.statements).toMatchObject([
      {code: 'TDB02W', execution: 'unanswered', transaction_outcome: 'in doubt'},
    ])

    const block = new Wire()
    run(block, 'begin', 'BEGIN', 'T')
    block.client(ask.query('delete from t'))
    expect(block.end()).toEqual({transaction: 1, fate: 'rollback'})
    expect(block.statements[1]).toMatchObject({execution: 'unanswered', transaction_outcome: 'rollback'})

    for (const sql of ['COMMIT', 'delete from t;\ncommit', 'execute prepared_by_a_message']) {
      const committing = new Wire()
      run(committing, 'begin', 'BEGIN', 'T')
      committing.client(ask.query(sql))
      expect(committing.end()).toEqual({transaction: 1, fate: 'in doubt'})
    }

    const pipeline = new Wire()
    pipeline.client(ask.parse('', 'insert'), ask.bind('', ''), ask.execute(''), ask.flush)
    pipeline.server(parsed, bound, answer.done('INSERT 0 1'))
    pipeline.end()
    expect(pipeline.statements).toMatchObject([{success: true, transaction_outcome: 'rollback'}])
  })

  it('an end without a word records what was bound and what was asked', () => {
    const wire = new Wire()
    wire.client(ask.parse('', 'select 1'), ask.bind('never', ''), ask.bind('', ''), ask.execute('', 1), ask.flush)
    wire.server(parsed, bound, bound, answer.row(), answer.suspended)
    wire.end()
    expect(wire.statements.map(({portal_name, execution}) => [portal_name, execution])).toEqual([
      [undefined, 'partial'],
      ['never', 'none'],
    ])
  })
})

describe('a client that means no good', () => {
  it('gets no event that is larger than the control plane takes', () => {
    const wire = new Wire()
    const worst = '\u0001'.repeat(70_000)
    const names = worst.slice(0, 1024)
    const columns = Array.from({length: 1000}, (_, index): [string, number] => [`${worst.slice(0, 60)}${index}`, index])
    wire
      .client(ask.query(worst))
      .server(answer.columns(...columns), answer.done(worst), answer.error('XXXXXXXXX', worst))
    wire.server(answer.ready())
    wire.client(
      ask.parse(names, worst),
      ask.bind(names, names, ['first', worst, 'third']),
      ask.execute(names),
      ask.sync,
    )
    wire.server(parsed, bound, answer.error('XXXXX', worst), answer.ready())
    const several = Array.from({length: 300}, () => [answer.columns(...columns), answer.done('SELECT 1')]).flat()
    wire.client(ask.query(worst)).server(...several, answer.ready())
    wire.client(ask.call(1, [null, worst])).server(answer.result, answer.ready())
    for (const event of wire.events) expect(Buffer.byteLength(JSON.stringify(event))).toBeLessThan(250_000)
    expect(wire.statements).toHaveLength(4)
    expect(wire.statements).toMatchObject([
      {db_query_truncated: true, sqlstate: 'XXXXX'},
      {db_query_parameters_truncated: true},
      {results_truncated: true, affected_records: 300},
      {function_args_truncated: true},
    ])
    expect((wire.statements[1]?.db_query_parameters as string[])[0]).toBe('first')
  })

  it('gets no parameter that is cut within a character', () => {
    const wire = new Wire()
    wire.client(ask.parse('', 'select $1'), ask.bind('', '', ['😀'.repeat(100_000)]), ask.execute(''), ask.sync)
    wire.server(parsed, bound, answer.done('SELECT 1'), answer.ready())
    expect(JSON.stringify(wire.statements)).not.toContain('\\ud')
  })

  it('ends when nobody can tell its names apart for certain', () => {
    const isMisplaced = (...messages: readonly Buffer[]): boolean =>
      new Wire().client(...messages).requests.misplaced?.includes('too long') === true
    const names = ['x'.repeat(100_000), 'x'.repeat(1025), 'é'.repeat(16)]
    expect(names.map((name) => isMisplaced(ask.parse(name, 'select 1')))).toEqual([true, true, true])
    expect(isMisplaced(ask.bind('x'.repeat(100_000), 'other'))).toBe(true)
    expect(isMisplaced(ask.bind('', 'x'.repeat(100_000)))).toBe(true)
    expect(isMisplaced(ask.parse('x'.repeat(1024), 'select 1'), ask.parse('é'.repeat(15), 'select 1'))).toBe(false)
  })

  it('is held to so much that it prepares', () => {
    const wire = new Wire()
    const sql = 'x'.repeat(60_000)
    let prepared = 0
    for (; wire.requests.excess !== 'names' && prepared < 1000; prepared += 1) {
      wire.client(ask.parse(`s${prepared}`, sql), ask.sync).server(parsed, answer.ready())
    }
    expect(prepared).toBeGreaterThan(200)
    expect(prepared).toBeLessThan(300)
  })

  it('may send as many large parameters in one pipeline as a server takes before it answers, and is held to that', () => {
    const wire = new Wire()
    const insert = [ask.bind('', 's', ['x'.repeat(100_000)]), ask.describe('P', ''), ask.execute('')]
    const inserted = [bound, answer.noData, answer.done('INSERT 0 1')]
    const gathered = Math.ceil(8192 / Buffer.concat(inserted).length)
    wire.client(ask.parse('s', 'insert into t values ($1)'))
    wire.server(parsed)
    for (let index = 0; index < gathered; index += 1) wire.client(...insert)
    expect(wire.requests.excess).toBeUndefined()
    for (let index = 0; index < gathered; index += 1) wire.server(...inserted)
    wire.client(ask.sync).server(answer.ready())
    expect(wire.statements).toHaveLength(gathered)
    expect(wire.requests.pipeline.weight).toBe(0)

    let asked = 0
    for (; wire.requests.excess !== 'requests' && asked < 3000; asked += 1) wire.client(ask.query('x'.repeat(60_000)))
    expect(asked).toBeGreaterThan(gathered)
    expect(asked).toBeLessThan(1500)
  })

  it('costs time in proportion to the statements of one query, whatever they are', () => {
    const spent = processorTime()
    const many = 7000
    const certain = new Wire().client(ask.query('rollback;'.repeat(many)))
    certain.server(...Array.from({length: many}, () => answer.done('ROLLBACK')), answer.ready())
    const uncertain = new Wire().client(ask.query(`/*\\ ${'rollback '.repeat(6000)}*/ ${'rollback;'.repeat(1000)}`))
    uncertain.server(...Array.from({length: 1000}, () => answer.done('ROLLBACK')), answer.ready())
    expect(certain.statements).toMatchObject([{transaction_outcome: 'rollback', results_truncated: true}])
    expect(uncertain.statements).toMatchObject([{transaction_outcome: 'rollback'}])
    // Half a second on a quiet machine, and minutes if all of the SQL were read for each of them.
    expect(spent()).toBeLessThan(30_000)
  })

  it('is held to so much that it has described', () => {
    const wire = new Wire()
    const columns = Array.from({length: 100}, (_, index): [string, number] => [`column ${index}`, index])
    const types = Array.from({length: 10_000}, () => 25)
    const description = [answer.parameters(...types), answer.columns(...columns)]
    const describeOnce = (name: string): void => {
      wire.client(ask.parse(name, 'table t'), ask.describe('S', name), ask.sync)
      wire.server(parsed, ...description, answer.ready())
    }
    let prepared = 0
    const describeAgain = [answer.parameters(25), answer.columns(...columns), answer.ready()]
    wire.client(ask.parse('', 'table t'), ask.sync).server(parsed, answer.ready())
    for (let index = 0; index < 5000; index += 1) {
      wire.client(ask.describe('S', ''), ask.sync).server(...describeAgain)
    }
    expect(wire.requests.excess).toBeUndefined()
    for (; wire.requests.excess !== 'names' && prepared < 1000; prepared += 1) describeOnce(`s${prepared}`)
    expect(prepared).toBeGreaterThan(100)
    expect(prepared).toBeLessThan(300)
    wire.client(ask.query('deallocate all')).server(answer.done('DEALLOCATE ALL'), answer.ready())
    // What is closed again leaves no more room than there was.
    for (let index = 0; index < 10; index += 1) {
      describeOnce('x')
      wire.client(ask.close('S', 'x'), ask.sync).server(answer.closed, answer.ready())
    }
    let again = 0
    for (; wire.requests.excess !== 'names' && again < 1000; again += 1) describeOnce(`s${again}`)
    expect(again).toBe(prepared)
  })

  it('may prepare and close for ever', () => {
    const wire = new Wire()
    const sql = 'x'.repeat(60_000)
    for (let index = 0; index < 400; index += 1) {
      wire.client(ask.parse('', sql), ask.parse(`s${index}`, sql), ask.close('S', `s${index}`), ask.sync)
      wire.server(parsed, parsed, answer.closed, answer.ready())
    }
    for (let index = 0; index < 400; index += 1) {
      wire.client(ask.parse('x', sql), ask.parse('y', 'y'), ask.sync).server(answer.error('42601'), answer.ready())
    }
    expect(wire.requests.excess).toBeUndefined()
  })

  it('gets a record for each of twenty thousand portals that it leaves unread in one pipeline', () => {
    const wire = new Wire()
    const count = 20_000
    const spent = processorTime()
    const names = Array.from({length: count}, (_, index) => String(index))
    wire.client(ask.parse('s', 'select 1'), ...names.flatMap((name) => [ask.bind(name, 's'), ask.execute(name, 1)]))
    wire.server(parsed, ...names.flatMap(() => [bound, answer.row(), answer.suspended]))
    wire.client(ask.sync).server(answer.ready())
    expect(wire.statements.map(({portal_name}) => portal_name)).toEqual(names)
    // In proportion: a second on a quiet machine, and minutes if each looked at all the others.
    expect(spent()).toBeLessThan(60_000)
  })

  it('gets a record for each of a thousand statements in one pipeline', () => {
    const wire = new Wire()
    const many = Array.from({length: 1000}, (_, index) => [ask.bind('', 's', [String(index)]), ask.execute('')]).flat()
    wire.client(ask.parse('s', 'insert into t values ($1)'), ...many, ask.sync)
    for (let index = 0; index < 1000; index += 1)
      wire.server(...(index === 0 ? [parsed] : []), bound, answer.done('INSERT 0 1'))
    wire.server(answer.ready())
    expect(wire.statements.map(({db_query_parameters}) => db_query_parameters)).toEqual(
      Array.from({length: 1000}, (_, index) => [String(index)]),
    )
    expect(wire.statements.at(-1)).toMatchObject({transaction: 1, transaction_outcome: 'commit'})
    expect(new Set(wire.statements.map(({transaction}) => transaction))).toEqual(new Set([1]))
  })
})

describe('what a server says out of turn', () => {
  it('B09: an error that answers nothing is an event of its own', () => {
    const wire = new Wire()
    wire.server(answer.error('57P01'))
    expect(wire.events).toMatchObject([{code: 'TDB10I', success: false, sqlstate: '57P01'}])
  })

  it('B09: answers to nothing are no statements', () => {
    const wire = new Wire()
    wire.server(
      answer.done('SELECT 1'),
      answer.suspended,
      answer.empty,
      answer.copyIn,
      parsed,
      answer.ready(),
      answer.ready('T'),
    )
    wire.server(answer.columns(['a', 23]), answer.parameters(23), answer.copyBoth, answer.noData)
    expect(wire.events).toEqual([])
    wire.client(ask.query('select 1'))
    expect(wire.requests.misplaced).toBeUndefined()
  })
})
