import {spawn, type SpawnOptions} from 'node:child_process'
import {constants} from 'node:os'
import {PosternError} from '../core/errors.js'

/** Signals that end us; while a child runs it decides, and we follow. */
const forwarded = ['SIGTERM', 'SIGHUP'] as const

export interface PostgresVariables {
  /** A directory with a UNIX socket, or a loopback address. */
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
}

/** The caller's environment without the variables of libpq: they could lead a client elsewhere or weaken it (PGHOSTADDR, PGSERVICE …). */
export function withoutPostgresVariables(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !/^PG/i.test(name)))
}

/**
 * The environment for a PostgreSQL client: the caller's without any PG* variable, and ours. Values in PGDATABASE are names; on psql's command line
 * one could be a whole connection string (case D03).
 */
export function postgresEnvironment(
  environment: NodeJS.ProcessEnv,
  {host, port, user, database}: PostgresVariables,
): NodeJS.ProcessEnv {
  return {
    ...withoutPostgresVariables(environment),
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGDATABASE: database,
    // Plain on this machine only: the way from here on is TLS.
    PGSSLMODE: 'disable',
    PGGSSENCMODE: 'disable',
  }
}

/**
 * Runs a program on this terminal and waits for it. Ctrl-C belongs to the program: psql cancels its query with it.
 * @returns its exit code; 128 and the signal's number when a signal ended it
 * @throws PosternError FAILED when it cannot be started
 */
export function runProgram(command: string, args: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const options: SpawnOptions = {stdio: 'inherit', env: environment, shell: false}
    const child = spawn(command, args, options)
    const ignoreInterrupt = (): void => undefined
    const forward = (signal: NodeJS.Signals): void => {
      child.kill(signal)
    }
    process.on('SIGINT', ignoreInterrupt)
    for (const signal of forwarded) process.on(signal, forward)
    const release = (): void => {
      process.off('SIGINT', ignoreInterrupt)
      for (const signal of forwarded) process.off(signal, forward)
    }
    child.once('error', (error: NodeJS.ErrnoException) => {
      release()
      reject(
        error.code === 'ENOENT'
          ? notInstalled(command, error)
          : new PosternError('FAILED', `${command} cannot be started: ${error.message}.`, {cause: error}),
      )
    })
    child.once('exit', (code, signal) => {
      release()
      resolve(code ?? 128 + (signal ? constants.signals[signal] : 0))
    })
  })
}

export function notInstalled(command: string, cause: Error): PosternError {
  if (command !== 'psql') return new PosternError('FAILED', `The program ${command} was not found.`, {cause})
  return new PosternError('FAILED', 'psql, the PostgreSQL client, is not installed or not on the PATH.', {
    cause,
    hint: [
      'Debian or Ubuntu: sudo apt-get install postgresql-client',
      'Fedora or RHEL: sudo dnf install postgresql',
      'macOS: brew install libpq && brew link --force libpq',
    ],
  })
}
