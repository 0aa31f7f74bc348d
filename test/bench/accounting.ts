/** What Linux knows about processes (proc(5)). */
import {readdirSync, readFileSync} from 'node:fs'
import {cpus} from 'node:os'

/** USER_HZ, 100 on every platform that Node runs on. */
const ticksPerSecond = 100

interface Entry {
  readonly parent: number
  /** Of itself and of children that have ended. */
  readonly cpuSeconds: number
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function readEntry(pid: number | 'self'): (Entry & {readonly reapedSeconds: number}) | undefined {
  const text = readText(`/proc/${pid}/stat`)
  if (!text) return undefined
  // The name in parentheses may hold anything.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const [user = 0, system = 0, reapedUser = 0, reapedSystem = 0] = fields.slice(11, 15)
  const reapedSeconds = (reapedUser + reapedSystem) / ticksPerSecond
  return {parent: fields[1] ?? 0, cpuSeconds: (user + system) / ticksPerSecond + reapedSeconds, reapedSeconds}
}

type Table = ReadonlyMap<number, Entry>

function readTable(): Table {
  const table = new Map<number, Entry>()
  for (const name of readdirSync('/proc')) {
    const entry = /^\d+$/.test(name) ? readEntry(Number(name)) : undefined
    if (entry) table.set(Number(name), entry)
  }
  return table
}

function tree(root: number, table: Table): number[] {
  const children = [...table].filter(([, {parent}]) => parent === root).map(([pid]) => pid)
  return [root, ...children.flatMap((child) => tree(child, table))]
}

const treeCpu = (root: number, table: Table): number =>
  tree(root, table).reduce((sum, pid) => sum + (table.get(pid)?.cpuSeconds ?? 0), 0)

/** Resident memory in kB of a process and its children. */
export function residentKilobytes(root: number): number {
  return tree(root, readTable()).reduce((sum, pid) => {
    const [, kilobytes = '0'] = /^VmRSS:\s+(\d+) kB/m.exec(readText(`/proc/${pid}/status`)) ?? []
    return sum + Number(kilobytes)
  }, 0)
}

/** Seconds that all processors together were busy. */
function busySeconds(): number {
  const all = cpus().map(({times}) => times.user + times.nice + times.sys + times.irq)
  return all.reduce((sum, milliseconds) => sum + milliseconds, 0) / 1000
}

export interface Accounts {
  readonly seconds: number
  /** By part; `client` is what ran and ended in the meantime, psql or pgbench. */
  readonly cpuSeconds: Readonly<Record<string, number>>
  /** Processors that others used. */
  readonly foreign: number
}

/** Starts counting; the function that it returns gives what was used since. */
export function account(processes: Readonly<Record<string, number>>): () => Accounts {
  const read = (): {at: number; busy: number; parts: Record<string, number>; mine: number} => {
    const table = readTable()
    const self = readEntry('self')
    return {
      at: performance.now(),
      busy: busySeconds(),
      parts: {
        ...Object.fromEntries(Object.entries(processes).map(([name, pid]) => [name, treeCpu(pid, table)])),
        client: self?.reapedSeconds ?? 0,
      },
      mine: (self?.cpuSeconds ?? 0) - (self?.reapedSeconds ?? 0),
    }
  }
  const start = read()
  return () => {
    const end = read()
    const seconds = (end.at - start.at) / 1000
    const cpuSeconds = Object.fromEntries(
      Object.entries(end.parts).map(([name, value]) => [name, value - (start.parts[name] ?? 0)]),
    )
    const known = Object.values(cpuSeconds).reduce((sum, value) => sum + value, end.mine - start.mine)
    return {seconds, cpuSeconds, foreign: (end.busy - start.busy - known) / seconds}
  }
}
