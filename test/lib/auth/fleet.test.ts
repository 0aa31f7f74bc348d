/** A control plane that comes back, and all of its agents with it. */
import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {setTimeout as sleep} from 'node:timers/promises'
import {Heartbeat} from '../../../src/lib/agent/heartbeat.js'
import {ApiClient} from '../../../src/lib/api/client.js'
import {WatchClient} from '../../../src/lib/api/watch-client.js'
import {startAuth} from '../../../src/lib/auth/auth.js'
import type {Auth} from '../../../src/lib/auth/options.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {reportedHealth, startTestAuth, type TestAuth, type TestHost} from '../../helpers/auth.js'
import {freePort} from '../../helpers/cli.js'
import {patience} from '../../helpers/patience.js'
import {report, scaled} from '../../helpers/scale.js'
import {waitFor} from '../../helpers/psql.js'

const size = scaled(25, 200)
/** Hosts that join at the same time, before any of them does more. */
const batch = 10

/** The parts of an agent that speak to the control plane. */
interface Member {
  /** Streams that it has read to their `ready`. */
  ready: number
  beats: number
  readonly heartbeat: Heartbeat
  readonly watch: WatchClient
}

let plane: TestAuth
let auth: Auth
const fleet: Member[] = []

beforeAll(
  async () => {
    // Its port is there again when it comes back.
    plane = await startTestAuth({listen: {host: '127.0.0.1', port: await freePort()}})
    auth = plane.auth
    const hosts: TestHost[] = []
    while (hosts.length < size) {
      const count = Math.min(batch, size - hosts.length)
      hosts.push(...(await Promise.all(Array.from({length: count}, () => plane.joinHost('Db')))))
    }
    fleet.push(...hosts.map(startMember))
  },
  scaled(180_000, 300_000),
)

afterAll(async () => {
  await Promise.all(fleet.map(({heartbeat, watch}) => Promise.all([heartbeat.stop(), watch.close()])))
  if (auth !== plane.auth) await auth.close()
  await plane.stop()
}, 180_000)

function startMember({client}: TestHost, index: number): Member {
  const watch = new WatchClient({
    client,
    clock: systemClock,
    logger: silentLogger,
    onStart: () => undefined,
    onEvent: ({type}) => {
      if (type === 'ready') member.ready += 1
    },
  })
  const heartbeat = new Heartbeat({
    api: client,
    logger: silentLogger,
    intervalMilliseconds: 30_000,
    state: () => ({
      hostname: `agent-${index}`,
      version: '0.1.0',
      databases: [
        {
          database: {
            kind: 'db',
            version: 'v3',
            metadata: {name: `db-${index}`},
            spec: {protocol: 'postgres', uri: `db-${index}.example.com:5432`},
          },
          health: reportedHealth(),
        },
      ],
    }),
    onTaken: () => {
      member.beats += 1
    },
  })
  const member: Member = {ready: 0, beats: 0, heartbeat, watch}
  return member
}

it(
  `F05: ${size} agents come back at once, none is lost from the list, and people are served meanwhile`,
  async () => {
    const all = (is: (member: Member) => boolean): true | undefined => (fleet.every(is) ? true : undefined)
    await waitFor(() => all(({ready, beats}) => ready >= 1 && beats >= 1))
    const before = fleet.map(({ready, beats}) => ({ready, beats}))
    await auth.close()
    // Each has something to tell that it cannot get rid of now.
    for (const {heartbeat} of fleet) heartbeat.hurry()
    await waitFor(() => all(({watch}) => watch.staleness() > 3000))

    const {address} = plane.auth
    const processor = process.cpuUsage()
    const began = performance.now()
    auth = await startAuth({...plane.options, listen: address})
    const person = new ApiClient(plane.admin.transport.endpoint, patience)
    const listed: number[] = []
    let longest = 0
    const back = waitFor(() => all((member) => isBack(member, before[fleet.indexOf(member)])))
    const fleetIs = {back: false}
    void back.then(() => (fleetIs.back = true))
    while (!fleetIs.back) {
      const asked = performance.now()
      listed.push((await person.listResources('db_server')).items.length)
      longest = Math.max(longest, performance.now() - asked)
      await sleep(50)
    }
    await back
    const {user, system} = process.cpuUsage(processor)
    report(
      `F05: ${size} agents were back after ${Math.round(performance.now() - began)} ms, for ${Math.round((user + system) / 1000)} ms of processor (both sides); a listing took at most ${Math.round(longest)} ms`,
    )
    await person.close()
    expect(new Set(listed)).toEqual(new Set([size]))
  },
  scaled(180_000, 400_000),
)

function isBack({ready, beats}: Member, before: {ready: number; beats: number} | undefined): boolean {
  return ready > (before?.ready ?? 0) && beats > (before?.beats ?? 0)
}
