import {createHash} from 'node:crypto'
import {describe, expect, it} from '@jest/globals'
import type {AuditEvent} from '../../../src/lib/audit/event.js'
import {formatHead, parseHead, readRecording} from '../../../src/lib/audit/recording.js'
import {decodeText} from '../../../src/lib/pgwire/payload.js'

const head = {sid: '307b49d6-56c7-4d20-8cf0-5bc5348a7101', serverId: 'host', cluster: 'example.com'}
const end = {event: 'db.session.end'}

/** A recording of these events, numbered. */
function recording(events: readonly AuditEvent[]): string {
  const lines = events.map((event, ei) => JSON.stringify({ei, ...event}))
  return [formatHead(head), ...lines].map((line) => `${line}\n`).join('')
}

async function read(text: string, step = 65_536): Promise<{events: AuditEvent[]; flaws: string[]}> {
  const flaws: string[] = []
  const bytes = Buffer.from(text)
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let offset = 0; offset < bytes.length; offset += step) {
      yield await Promise.resolve(bytes.subarray(offset, offset + step))
    }
  }
  const events: AuditEvent[] = []
  const options = {decodeSql: (bytes: Buffer) => decodeText(bytes), onFlaw: (flaw: string) => flaws.push(flaw)}
  for await (const event of readRecording(chunks(), options)) events.push(event)
  return {events, flaws}
}

const part = (text: number, bytes: Buffer): AuditEvent => ({
  ...{event: 'db.session.sql.part', part_of: text, data: bytes.toString('base64')},
})
const trimmed = (text: number, whole: Buffer): AuditEvent => ({
  event: 'db.session.query',
  db_query: 'selec',
  db_query_truncated: true,
  db_query_parts: text,
  db_query_sha256: createHash('sha256').update(whole).digest('hex'),
})

describe('readRecording', () => {
  it('knows its head', () => {
    expect(parseHead(formatHead(head))).toEqual(head)
  })

  it.each([1, 7, 65_536])('puts long SQL together, in chunks of %i bytes', async (step) => {
    const sql = Buffer.from("select 'ä€'")
    const latin = Buffer.from("select '\u00e4'", 'latin1')
    const text = recording([
      // The second is sent while the first is not answered, and executed once more.
      ...[part(1, sql.subarray(0, 9)), part(1, sql.subarray(9)), part(2, latin), trimmed(1, sql)],
      ...[trimmed(2, latin), trimmed(2, latin), end],
    ])
    const {events, flaws} = await read(text, step)
    expect(flaws).toEqual([])
    const latinText = "select '\udce4'"
    expect(events).toMatchObject([
      ...[{ei: 3, db_query: "select 'ä€'"}, {ei: 4, db_query: latinText}, {ei: 5, db_query: latinText}, end],
    ])
    expect(events[0]).not.toHaveProperty('db_query_truncated')
  })

  it('says what is missing', async () => {
    const sql = Buffer.from('select 1')
    const whole = recording([{event: 'db.session.start'}, part(1, sql.subarray(1)), trimmed(1, sql), end])
    const {events, flaws} = await read(whole)
    expect(events[1]).toMatchObject({db_query: 'selec', db_query_truncated: true})
    expect(flaws).toEqual(['Of the SQL of event 2 the recording has only the beginning.'])

    const lines = recording([{}, {}, {}, {}]).split('\n')
    expect((await read([...lines.slice(0, 2), ...lines.slice(3, 5), '{"ei":'].join('\n'))).flaws).toEqual([
      'Before event 2 there are events missing from the recording.',
      'The recording ends in the middle of a line.',
      'The recording does not reach the end of the session.',
    ])
  })

  it('is not misled by pieces that nothing follows', async () => {
    const text = recording([part(1, Buffer.from('drop')), {event: 'db.session.query', db_query: 'select 1'}, end])
    expect(await read(text)).toMatchObject({events: [{db_query: 'select 1'}, end], flaws: []})
  })

  it.each([
    ['nothing', ''],
    ['another file', 'root:x:0:0\n'],
    ['JSON of another kind', '{"kind":"role"}\n'],
    ['a list', '[1]\n'],
    ['an endless line', 'x'.repeat(2_000_000)],
  ])('refuses %s', async (_case, text) => {
    await expect(read(text)).rejects.toMatchObject({code: 'INVALID'})
  })

  it('refuses a later version, and says where a file is damaged', async () => {
    await expect(read('{"recording":2}\n')).rejects.toMatchObject({message: expect.stringContaining('later version')})
    const deep = `{"ei":1,"x":${'['.repeat(5000)}${']'.repeat(5000)}}`
    for (const line of ['{"ei":', '[]', 'null', deep]) {
      await expect(read(`${recording([end])}${line}\n`)).rejects.toMatchObject({
        message: expect.stringContaining('Line 3'),
      })
    }
  })
})
