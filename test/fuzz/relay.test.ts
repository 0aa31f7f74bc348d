/** A session's relay between a client and a server that say anything: bytes in are bytes out, and the audit agrees with them. */
import {once} from 'node:events'
import {randomUUID} from 'node:crypto'
import {mkdtemp, rm} from 'node:fs/promises'
import type {Socket} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {setImmediate as nextTurn} from 'node:timers/promises'
import {isDeepStrictEqual} from 'node:util'
import {afterAll, beforeAll} from '@jest/globals'
import fc from 'fast-check'
import {Relay, type RelayOptions} from '../../src/lib/agent/relay.js'
import {SessionAudit} from '../../src/lib/audit/session-audit.js'
import {Spool} from '../../src/lib/audit/spool.js'
import {systemClock} from '../../src/lib/core/clock.js'
import {silentLogger} from '../../src/lib/core/log.js'
import {recordedStatements} from '../e2e/drivers/recorded.js'
import {sessionFacts} from '../lib/audit/facts.js'
import {utf8} from '../../src/lib/pgwire/client-encoding.js'
import {openSocketPair} from '../lib/pgwire/socket-pair.js'
import {cuts, fuzz, segments} from './bounded.js'
import {clientStreams, possibleAnswers} from './cases.js'
import {clientMessage, hostileMessage, queryMessage, serverMessage, sqlText, sync} from './messages.js'
import {parseEvents} from '../helpers/event-lines.js'

let directory = ''
let spool: Spool

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-fuzz-'))
  spool = await Spool.open({directory, clock: systemClock, logger: silentLogger})
})

afterAll(async () => {
  // One that was interrupted when its time was up goes on by itself.
  while (underWay > 0) await nextTurn()
  await spool.close()
  await rm(directory, {recursive: true})
})

interface Outcome {
  readonly toServer: Buffer
  readonly toClient: Buffer
  readonly events: readonly Readonly<Record<string, unknown>>[]
}

let underWay = 0

async function relayed(...words: Parameters<typeof relay>): Promise<Outcome> {
  underWay += 1
  try {
    return await relay(...words)
  } finally {
    underWay -= 1
  }
}

/** One end sends all of its bytes and ends; the other has sent its own before. */
async function relay(
  fromClient: readonly Buffer[],
  fromServer: readonly Buffer[],
  first: 'client' | 'server',
): Promise<Outcome> {
  const [client, server] = await Promise.all([openSocketPair(), openSocketPair()])
  try {
    const sid = randomUUID()
    const audit = new SessionAudit(spool, systemClock, sessionFacts({sid}))
    audit.started({})
    const options = {
      ...({client: client.server, database: server.client} as unknown as Pick<RelayOptions, 'client' | 'database'>),
      ...{audit, clock: systemClock, longestName: 63, encoding: utf8},
      cancel: () => Promise.resolve(),
    }
    const relaying = new Relay(options)
    const toServer = collect(server.server)
    const toClient = collect(client.client)
    for (const piece of fromClient) client.client.write(piece)
    for (const piece of fromServer) server.server.write(piece)
    // Whoever goes first is followed; what is under way towards them then is lost, as without a relay.
    const [leaves, stays] = first === 'client' ? [client.client, server.server] : [server.server, client.client]
    const followed = once(stays, 'end').catch(() => undefined)
    leaves.end()
    await followed
    stays.end()
    await audit.ended(await relaying.finished)
    return {toServer: await toServer, toClient: await toClient, events: await eventsOf(sid)}
  } finally {
    client.close()
    server.close()
  }
}

async function collect(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
  return Buffer.concat(chunks)
}

const events: Readonly<Record<string, unknown>>[] = []
let reading: Promise<void> = Promise.resolve()

/** A run that was interrupted may still be under way, and a spool has one reader. */
async function eventsOf(sid: string): Promise<Outcome['events']> {
  reading = reading.then(async () => {
    for (let batch = await spool.read(); batch; batch = await spool.read()) {
      events.push(...parseEvents(batch.lines))
      await batch.acknowledge()
    }
  })
  await reading
  const own = events.filter((event) => event.sid === sid)
  events.splice(0, events.length, ...events.filter((event) => event.sid !== sid))
  return own
}

/** SQL of the simple queries among these events that are ours, as far as events hold it. */
function queriesIn(events: Outcome['events']): string[] {
  const asked = events.filter(({execution}) => execution !== 'none')
  return recordedStatements(asked).filter((sql) => /^select \d+ \/\*/.test(sql))
}

const asRecorded = (sql: string): string => Buffer.from(sql).subarray(0, 65_536).toString()

fuzz(
  'client stream',
  'queries in any segments reach the server as they are, and each is recorded once and in order',
  fc.asyncProperty(fc.array(sqlText, {maxLength: 6}), cuts, async (texts, places) => {
    const bytes = Buffer.concat([...texts.map(queryMessage), sync])
    const {toServer, events} = await relayed(segments(bytes, places), [], 'client')
    const numbers = events.map(({ei}) => ei)
    return (
      toServer.equals(bytes) &&
      isDeepStrictEqual(queriesIn(events), texts.map(asRecorded)) &&
      isDeepStrictEqual(numbers, [...numbers.keys()])
    )
  }),
)

fuzz(
  'client stream',
  'whatever a client sends, the server gets a beginning of it, whole up to the message that is refused, and the audit has what it got',
  fc.asyncProperty(
    fc.array(sqlText, {maxLength: 3}),
    fc.array(fc.oneof({weight: 4, arbitrary: clientMessage}, hostileMessage), {maxLength: 6}),
    cuts,
    async (texts, messages, places) => {
      const queries = Buffer.concat(texts.map(queryMessage))
      const bytes = Buffer.concat([queries, ...messages])
      const {toServer, events} = await relayed(segments(bytes, places), [], 'client')
      const recorded = queriesIn(events)
      return (
        bytes.subarray(0, toServer.length).equals(toServer) &&
        toServer.length >= queries.length &&
        isDeepStrictEqual(recorded.slice(0, texts.length), texts.map(asRecorded)) &&
        events.some(({code}) => code === 'TDB01I')
      )
    },
  ),
  clientStreams.map((bytes) => [['select 1 /* it */'], [bytes], [0.6]]),
)

fuzz(
  'server stream',
  'whatever a server sends, the client gets it as it is, up to a header that cannot be',
  fc.asyncProperty(fc.array(serverMessage, {maxLength: 12}), cuts, async (messages, places) => {
    const bytes = Buffer.concat(messages)
    const {toClient, events} = await relayed([queryMessage('select 1 /* it */')], segments(bytes, places), 'server')
    return toClient.subarray(0, bytes.length).equals(bytes) && events.some(({code}) => code === 'TDB01I')
  }),
  possibleAnswers.map((bytes) => [[bytes], [0.6]]),
)
