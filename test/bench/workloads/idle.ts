import {setTimeout as sleep} from 'node:timers/promises'
import {residentKilobytes} from '../accounting.js'
import {holdSessions} from '../connector.js'
import type {PathDefinition} from '../path.js'
import type {Context, Figures, Workload} from '../workload.js'

/** What the first ones cost is not the cost of each: what is loaded late, pools, the first heap growth. */
const warmUpSessions = 50
const settleMilliseconds = 1500
const sessions = {full: 400, quick: 200}

/** Memory is only told apart in processes that have done nothing before, so each sample starts its path anew. */
export const idleWorkload: Workload = {
  name: 'idle',
  title: 'Resident memory of an idle session, kB',
  usesPaths: false,
  figures: ['local', 'proxy', 'agent', 'near', 'haproxy', 'far', 'pgbouncer', 'ssh', 'sshd'].map((name) => ({
    name,
    title: `${name}, kB`,
    better: 'less',
    digits: 0,
  })),
  estimate: () => 15,
  subjects: (context) =>
    Promise.resolve(
      context.definitions
        .filter(({name}) => name !== 'direct')
        .map((definition) => ({name: definition.name, measure: () => measure(definition, context)})),
    ),
}

async function measure(definition: PathDefinition, {place, options}: Context): Promise<Figures> {
  const path = await definition.start(await place(definition.name))
  try {
    const count = options.quick ? sessions.quick : sessions.full
    const hold = (number: number) => holdSessions({kind: 'hold', endpoint: path.endpoint, count: number})
    const resident = async (): Promise<Record<string, number>> => {
      await sleep(settleMilliseconds)
      return Object.fromEntries(Object.entries(path.processes).map(([name, pid]) => [name, residentKilobytes(pid)]))
    }
    const warm = await hold(warmUpSessions)
    try {
      const before = await resident()
      const held = await hold(count)
      try {
        const after = await resident()
        return Object.fromEntries(
          Object.entries(after).map(([name, kilobytes]) => [name, (kilobytes - (before[name] ?? 0)) / count]),
        )
      } finally {
        await held.stop()
      }
    } finally {
      await warm.stop()
    }
  } finally {
    await path.stop()
  }
}
