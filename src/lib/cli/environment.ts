import {homedir, userInfo} from 'node:os'
import {join} from 'node:path'
import type {Clock} from '../core/clock.js'

/** What the commands take from the environment beyond the flags that have a variable of their own. */
export interface Environment {
  /** POSTERN_HOME, else `~/.postern`. */
  readonly home: string
  /** SSL_CERT_FILE: roots to trust instead of the system's. */
  readonly rootsFile: string | undefined
  /** POSTERN_CA_PIN: one pin, or several separated by commas. */
  readonly caPins: readonly string[]
}

/** What a command runs in. */
export interface Surroundings {
  readonly environment: Environment
  readonly clock: Clock
}

export function readEnvironment(variables: NodeJS.ProcessEnv = process.env): Environment {
  const read = (name: string): string | undefined => {
    const value = variables[name]?.trim()
    return value === '' ? undefined : value
  }
  return {
    home: read('POSTERN_HOME') ?? join(homedir(), '.postern'),
    rootsFile: read('SSL_CERT_FILE'),
    caPins: (read('POSTERN_CA_PIN') ?? '').split(',').filter(Boolean),
  }
}

/** The POSTERN_* variables that are set, as `status` shows them. */
export function variablesInUse(variables: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const set = Object.entries(variables).flatMap(([name, value]): [string, string][] =>
    name.startsWith('POSTERN_') && value ? [[name, value]] : [],
  )
  return Object.fromEntries(set.sort())
}

/** The name of the person at the keyboard, as the operating system knows it. */
export function systemUser(): string {
  try {
    return userInfo().username
  } catch {
    return ''
  }
}
