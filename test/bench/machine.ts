import {readFileSync} from 'node:fs'
import {availableParallelism, cpus, release, totalmem} from 'node:os'
import {findProgram, run} from './programs.js'

/** What the figures depend on. */
export interface Machine {
  readonly processors: number
  readonly model: string
  readonly memoryGigabytes: number
  readonly kernel: string
  readonly node: string
  readonly load: string
  readonly programs: Readonly<Record<string, string>>
}

const versionOf: Readonly<Record<string, readonly string[]>> = {
  pgbench: ['--version'],
  pgbouncer: ['--version'],
  haproxy: ['-v'],
}

export async function describeMachine(): Promise<Machine> {
  const programs: Record<string, string> = {}
  for (const [name, words] of Object.entries(versionOf)) {
    const path = await findProgram(name)
    const text = path ? await run(path, words).catch(() => '') : ''
    if (text) programs[name] = text.split('\n')[0] ?? ''
  }
  return {
    processors: availableParallelism(),
    model: cpus()[0]?.model ?? '',
    memoryGigabytes: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    load: readFileSync('/proc/loadavg', 'utf8').trim(),
    programs,
  }
}
