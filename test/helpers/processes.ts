import {readdirSync, readlinkSync, readFileSync} from 'node:fs'

/** Process ids of a process's children that have this in their arguments, oldest first. */
export function childrenOf(pid: number, argument: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => parentOf(candidate) === pid && argumentsOf(candidate).join(' ').includes(argument))
    .sort((one, other) => one - other)
}

/** Process ids of a process's children, of theirs, and so on. */
export function descendantsOf(pid: number): number[] {
  const parents = new Map(
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((name) => [Number(name), parentOf(Number(name))]),
  )
  const found = new Set([pid])
  for (let before = 0; before < found.size;) {
    before = found.size
    for (const [child, parent] of parents) if (found.has(parent)) found.add(child)
  }
  found.delete(pid)
  return [...found]
}

/** The arguments that a process shows; none when it has ended. */
export function argumentsOf(pid: number): string[] {
  return read(`/proc/${pid}/cmdline`).split('\0').slice(0, -1)
}

/** The ports from which a process is connected to a port of 127.0.0.1. */
export function portsTo(port: number, pid: number): number[] {
  const hexadecimal = port.toString(16).toUpperCase().padStart(4, '0')
  const descriptors = new Set(descriptorsOf(pid))
  return read('/proc/net/tcp')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , remote]) => remote?.endsWith(`:${hexadecimal}`))
    .filter((fields) => descriptors.has(`socket:[${fields[9] ?? ''}]`))
    .map(([, local = '']) => Number.parseInt(local.split(':')[1] ?? '', 16))
}

/** What the open files of a process are; none when it has ended. */
function descriptorsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
      try {
        return [readlinkSync(`/proc/${pid}/fd/${name}`)]
      } catch {
        return []
      }
    })
  } catch {
    return []
  }
}

function parentOf(pid: number): number {
  // The name of the program may hold spaces and brackets.
  return Number(/.*\) \S (\d+)/s.exec(read(`/proc/${pid}/stat`))?.[1])
}

/** Empty when the process has ended. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
