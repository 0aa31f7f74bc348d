import type {Connects} from '../connections.js'
import {connects} from '../connector.js'
import {isOurs, distantPath} from '../paths.js'
import type {Path} from '../path.js'
import {quantile} from '../statistics.js'
import {onEachPath, type Context, type Figures, type Subject, type Workload} from '../workload.js'

/** Between laptop and proxy, and between proxy and agent: milliseconds there and back. */
const distance = 20
/** Long enough for a spare connection to be made again. */
const leisurely = 1000

const quantiles = [
  {name: 'p50', title: 'p50, ms', better: 'less', digits: 1},
  {name: 'p90', title: 'p90, ms', better: 'less', digits: 1},
  {name: 'p99', title: 'p99, ms', better: 'less', digits: 1},
] as const
const failures = {name: 'failures', title: 'failures', better: 'less', digits: 0} as const

function describe(result: Connects, {note}: Context, what: string): Figures {
  const failed = Object.entries(result.failures)
  for (const [message, count] of failed) note(`${what}: ${count} times "${message}"`)
  const of = (share: number): number => quantile(result.milliseconds, share)
  return {
    p50: of(0.5),
    p90: of(0.9),
    p99: of(0.99),
    failures: failed.reduce((sum, [, count]) => sum + count, 0),
    connects: result.milliseconds.length,
  }
}

let distant: Promise<Path> | undefined

export const wanWorkload: Workload = {
  name: 'wan',
  title: `A connect over ${distance} + ${distance} ms (emulated): after a pause, when a spare connection may wait, and at once`,
  usesPaths: false,
  figures: [...quantiles.slice(0, 2), failures],
  estimate: ({quick}) => (quick ? 8 : 16),
  subjects: async (context) => {
    if (!context.definitions.some(({name}) => isOurs(name))) return []
    const definition = distantPath(distance)
    const path = await (distant ??= context.place('distant').then((place) => definition.start(place)))
    const count = context.options.quick ? 5 : 12
    const subject = (name: string, pauseMilliseconds: number): Subject => ({
      name,
      measure: async () => {
        const task = {kind: 'series', endpoint: path.endpoint, count, pauseMilliseconds} as const
        return describe(await connects(task, 180_000), context, `wan, ${name}`)
      },
    })
    return [subject('postern-socket, 1 a second', leisurely), subject('postern-socket, one after the other', 0)]
  },
}

/** Ends what a workload above has started for itself. */
export async function stopDistant(): Promise<void> {
  await (await distant?.catch(() => undefined))?.stop()
  distant = undefined
}

const perSecond = 50
const length = ({quick}: {readonly quick: boolean}): number => (quick ? 10 : 300)

export const sustainedWorkload: Workload = {
  name: 'sustained',
  title: `${perSecond} connects a second, for five minutes (ten seconds with --quick)`,
  usesPaths: true,
  runs: 1,
  figures: [...quantiles, failures],
  estimate: length,
  subjects: (context) =>
    onEachPath(
      context,
      async ({endpoint}, name) => {
        const seconds = length(context.options)
        const task = {kind: 'rate', endpoint, perSecond, seconds} as const
        return describe(await connects(task, (seconds + 60) * 1000), context, `sustained, ${name}`)
      },
      (name) => name === 'direct' || isOurs(name),
    ),
}
