import {fileURLToPath} from 'node:url'
import type {Connects, Task} from './connections.js'
import {run, startDaemon, type Daemon} from './programs.js'

const file = fileURLToPath(new URL('connections.js', import.meta.url))

/** Holds sessions open until it is stopped. @throws Error when one of them does not open */
export const holdSessions = (task: Extract<Task, {kind: 'hold'}>): Promise<Daemon> =>
  startDaemon(process.execPath, [file, JSON.stringify(task)], {ready: /^open$/m})

export async function connects(task: Exclude<Task, {kind: 'hold'}>, milliseconds: number): Promise<Connects> {
  return JSON.parse(await run(process.execPath, [file, JSON.stringify(task)], {milliseconds})) as Connects
}
