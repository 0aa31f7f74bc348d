import {readdirSync, readFileSync} from 'node:fs'

/** Process ids of a process's children that have this in their arguments, oldest first. */
export function childrenOf(pid: number, argument: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => parentOf(candidate) === pid && argumentsOf(candidate).join(' ').includes(argument))
    .sort((one, other) => one - other)
}

/** The arguments that a process shows; none when it has ended. */
export function argumentsOf(pid: number): string[] {
  return read(`/proc/${pid}/cmdline`).split('\0').slice(0, -1)
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
