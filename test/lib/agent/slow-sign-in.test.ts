/** A database that takes its time to let somebody in, as Aurora does that was paused: asked once, however long that is. */
import {once} from 'node:events'
import {connect} from 'node:net'
import {afterAll, beforeAll, expect, it} from '@jest/globals'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {startLocalProxy} from '../../../src/lib/localproxy/local-proxy.js'
import type {Upstream} from '../../../src/lib/localproxy/upstream.js'
import {encodeMessage} from '../../../src/lib/pgwire/message.js'
import {frontend} from '../../../src/lib/pgwire/message-types.js'
import {stillOpening} from '../../../src/lib/tunnel/greeting.js'
import {cluster, Plane} from './plane.js'
import {greet, sessionEvents, startPostgresFor, startRig, startup, until, type Rig} from './rig.js'

/** Longer than a local proxy waits for an agent that says nothing, on a connection that it had in reserve. */
const delaySeconds = 2

let plane: Plane
let postgres: PostgresServer
let rig: Rig

beforeAll(async () => {
  plane = await Plane.create()
  postgres = await startPostgresFor(plane, 'CREATE ROLE alice LOGIN')
  await postgres.execute(`ALTER SYSTEM SET pre_auth_delay = ${delaySeconds}`)
  await postgres.execute('SELECT pg_reload_conf()')
  rig = await startRig({plane, uri: `127.0.0.1:${postgres.port}`})
})

afterAll(async () => {
  await rig.stop()
  await postgres.stop()
})

it('gives one session to a client whose connection was made before it came', async () => {
  const upstream: Upstream = {
    proxy: rig.proxy.address,
    cluster,
    hostAuthorities: [plane.host.certificate],
    credentials: await rig.guest(),
    agents: [rig.hostId],
  }
  const source = {current: () => Promise.resolve(upstream), refreshed: () => Promise.resolve(upstream)}
  const local = await startLocalProxy({listen: {kind: 'loopback', port: 0}, source})
  try {
    local.prepare()
    const client = connect(local.port, '127.0.0.1')
    client.write(startup({application_name: 'prepared'}))
    const [first] = (await once(client, 'data')) as [Buffer]
    expect(String.fromCharCode(first[0] ?? 0)).toBe('R')
    client.end(encodeMessage(frontend.terminate))
    const events = await sessionEvents(plane, 'prepared')
    expect(events.map(({event}) => event)).toEqual(['db.session.start', 'db.session.end'])
    const starts = plane.events.filter((event) => event.user_agent === 'prepared' && event.event === 'db.session.start')
    expect(starts).toHaveLength(1)
  } finally {
    await local.close()
  }
})

it.each(['agent', 'direct'] as const)('says so on the %s route to our own client end alone', async (route) => {
  const credentials = await rig.guest()
  const socket = route === 'agent' ? await rig.dial(credentials) : await rig.dialDirect(credentials)
  if (route === 'agent') expect(await greet(socket)).toEqual({ok: true})
  socket.write(startup({application_name: route}))
  let told = 0
  let start = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    start = Buffer.concat([start, chunk])
    for (; start.subarray(0, stillOpening.length).equals(stillOpening); told += 1) {
      start = start.subarray(stillOpening.length)
    }
  })
  await until(() => start.length > 0, 'the session is open')
  socket.end(encodeMessage(frontend.terminate))
  expect(told > 0).toBe(route === 'agent')
  expect(String.fromCharCode(start[0] ?? 0)).toBe('R')
})
