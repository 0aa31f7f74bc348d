/** One statement on many databases: who they are, so many at a time, and what became of it on each. */
import {mkdir, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import type {VisibleDatabase} from '../api/responses.js'
import {DatabaseCertificateMemory, type StoredRoute} from '../config/database-certificates.js'
import type {Labels} from '../core/labels.js'
import {PosternError, toPosternError} from '../core/errors.js'
import {chooseAccount, type DatabaseAccount} from './database-account.js'
import {hasLabels, selectDatabase} from './database-selection.js'
import {openDatabaseSession} from './database-session.js'
import {searchDatabases} from './database-text.js'
import {outputText} from './execution-text.js'
import {runStatement, type StatementOutput, type StatementResult} from './statement.js'
import type {UserLogin} from './user-login.js'

/** Which databases: by name, or all that have the labels and words. */
export interface ExecutionSelector {
  readonly names?: readonly string[] | undefined
  readonly labels?: Labels | undefined
  readonly search?: readonly string[] | undefined
}

/** Databases to work on, in the order of their names; named ones as they were named. @throws PosternError NOT_FOUND, USAGE */
export function selectDatabases(
  visible: readonly VisibleDatabase[],
  {names, labels = {}, search = []}: ExecutionSelector,
): VisibleDatabase[] {
  const chosen = names
    ? [...new Set(names.map((name) => selectDatabase(visible, {name})))]
    : searchDatabases(visible, search)
        .filter(({database}) => hasLabels(database.metadata.labels ?? {}, labels))
        .sort((a, b) => (a.database.metadata.name < b.database.metadata.name ? -1 : 1))
  if (chosen.length > 0) return chosen
  throw new PosternError('NOT_FOUND', 'No databases were found.', {
    hint: 'Run `postern db ls` to list the databases you may connect to.',
  })
}

export interface ExecutionOptions {
  readonly login: UserLogin
  readonly databases: readonly VisibleDatabase[]
  readonly sql: string
  readonly account: Partial<Pick<DatabaseAccount, 'dbUser' | 'dbName'>>
  /** Databases at the same time. */
  readonly parallel: number
  /** Where each database's output goes, in a file of its own; the directory is made. */
  readonly outputDirectory?: string | undefined
  readonly abort: AbortSignal
  readonly onStart: (database: string, outputFile: string | undefined) => void
  readonly onEnd: (execution: Execution) => void
}

/** What became of it on one database; its answer is in its file, where there is one. */
export interface Execution {
  readonly database: {
    readonly service_name: string
    readonly protocol: string
    readonly username?: string | undefined
    readonly database?: string | undefined
  }
  readonly command: string
  readonly output_file?: string | undefined
  readonly success: boolean
  readonly error?: string | undefined
  readonly hints?: readonly string[] | undefined
  readonly exit_code: number
  readonly results?: readonly StatementResult[]
  readonly notices?: readonly string[]
}

export interface ExecutionSummary {
  readonly databases: readonly Execution[]
  readonly success: number
  readonly failure: number
  readonly total: number
}

export const summaryFile = 'summary.json'
const directoryMode = 0o700
const fileMode = 0o600

/** @throws PosternError ALREADY_EXISTS when the output directory is there; failures of databases are in the summary */
export async function executeOnAll(options: ExecutionOptions): Promise<ExecutionSummary> {
  const {databases, parallel, outputDirectory} = options
  if (outputDirectory !== undefined) await makeDirectory(outputDirectory)
  // Nothing of this is a login to a database that later commands should find.
  const login = {...options.login, databases: new DatabaseCertificateMemory()}
  const executions: Execution[] = []
  const waiting = databases.entries()
  const work = async (): Promise<void> => {
    for (const [index, database] of waiting) {
      const execution = await execute(database, {...options, login})
      executions[index] = execution
      options.onEnd(execution)
    }
  }
  await Promise.all(Array.from({length: parallel}, work))
  const success = executions.filter((execution) => execution.success).length
  const summary = {databases: executions, success, failure: executions.length - success, total: executions.length}
  if (outputDirectory !== undefined) await writeSummary(join(outputDirectory, summaryFile), summary)
  return summary
}

async function execute(visible: VisibleDatabase, options: ExecutionOptions): Promise<Execution> {
  const {sql, outputDirectory, abort, onStart} = options
  const {name} = visible.database.metadata
  const outputFile = outputDirectory === undefined ? undefined : join(outputDirectory, `${name}.output`)
  let route: StoredRoute | undefined
  const describe = (): Pick<Execution, 'database' | 'command' | 'output_file'> => ({
    database: {
      service_name: name,
      protocol: visible.database.spec.protocol,
      username: route?.dbUser,
      database: route?.dbName,
    },
    command: sql,
    output_file: outputFile,
  })
  onStart(name, outputFile)
  try {
    if (abort.aborted) throw new PosternError('FAILED', 'It was interrupted.')
    route = {database: name, ...chooseAccount(visible, options.account)}
    const output = await runOnDatabase(route, options)
    if (outputFile !== undefined) await writeFile(outputFile, await outputText(output), {mode: fileMode})
    return {...describe(), success: true, exit_code: 0, ...(outputFile === undefined && output)}
  } catch (error) {
    const {message, hints} = toPosternError(error)
    if (outputFile !== undefined) await writeFile(outputFile, `${[message, ...hints].join('\n')}\n`, {mode: fileMode})
    return {...describe(), success: false, error: message, hints, exit_code: 1}
  }
}

async function runOnDatabase(
  {database, dbUser, dbName}: StoredRoute,
  {login, sql, abort}: ExecutionOptions,
): Promise<StatementOutput> {
  const session = await openDatabaseSession({login, selector: {name: database}, dbUser, dbName})
  return runStatement(session, sql, abort)
}

async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, {mode: directoryMode}).catch((error: unknown) => {
    const {code} = error as NodeJS.ErrnoException
    if (code === 'EEXIST') {
      throw new PosternError('ALREADY_EXISTS', `The directory "${path}" already exists.`, {
        hint: 'Name one that does not: it is made for this output alone.',
      })
    }
    throw new PosternError('FAILED', `The directory "${path}" cannot be made.`, {cause: error})
  })
}

async function writeSummary(path: string, summary: ExecutionSummary): Promise<void> {
  await writeFile(path, `${JSON.stringify(summary, null, 2)}\n`, {mode: fileMode})
}
