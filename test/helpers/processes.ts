import {readdirSync, readFileSync} from 'node:fs'

/** Process ids of a process's children whose command line has this in it, oldest first. */
export function childrenOf(pid: number, command: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => parentOf(candidate) === pid && commandOf(candidate).includes(command))
    .sort((one, other) => one - other)
}

/** A process's arguments. */
function commandOf(pid: number): string {
  return read(`/proc/${pid}/cmdline`)
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
