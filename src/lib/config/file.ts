import {readFile} from 'node:fs/promises'
import {hostname} from 'node:os'
import type {z} from 'zod'
import {PosternError} from '../core/errors.js'
import {checkDatabase} from './databases.js'
import {describeProblems, problemsError, readDocument, type ConfigDocument, type Problem} from './document.js'
import {checkRules, enabledServices, findWarnings} from './rules.js'
import {explainIssue} from './scalars.js'
import {fileSchema, type ConfigFile} from './schema.js'
import {readSettings} from './sections.js'
import type {Config, Service} from './settings.js'

export interface ConfigOptions {
  /** Runs exactly these services, whatever `enabled` says. */
  readonly roles?: readonly Service[] | undefined
}

/**
 * Reads and checks a configuration file.
 * @throws PosternError NOT_FOUND without the file, INVALID naming key and line.
 */
export async function loadConfig(path: string, options: ConfigOptions = {}): Promise<Config> {
  return parseConfig(await readConfigText(path), {...options, name: path})
}

async function readConfigText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw missing
      ? new PosternError('NOT_FOUND', `The configuration file ${path} does not exist.`, {
          hint: 'Name another with -c, or make one with `postern db configure create -o file`.',
          cause: error,
        })
      : new PosternError('FAILED', `The configuration file ${path} cannot be read.`, {cause: error})
  }
}

/**
 * Checks the text of a configuration; the CA files of static databases are read, nothing else is.
 * @throws PosternError INVALID naming key and line; further problems are in the hints.
 */
export function parseConfig(text: string, options: ConfigOptions & {readonly name: string}): Config {
  const document = readDocument(text, options.name)
  const file = checkForm(document)
  const running = enabledServices(file, options.roles)
  const databases = (file.db_service?.databases ?? []).map((section, index) =>
    checkDatabase(section, ['db_service', 'databases', index]),
  )
  const problems = [...checkRules(file, running), ...databases.flatMap((database) => database.problems)]
  if (problems.length > 0) throw problemsError(document, problems)
  const warnings = [...findWarnings(file, running), ...databases.flatMap((database) => database.warnings)]
  return readSettings(file, {
    running,
    databases: databases.flatMap(({database}) => database ?? []),
    hostname: hostname(),
    warnings: describeProblems(document, warnings),
  })
}

function checkForm(document: ConfigDocument): ConfigFile {
  const result = fileSchema.safeParse(document.value, {error: explainIssue})
  if (result.success) return result.data
  throw problemsError(document, result.error.issues.flatMap(problemsOf))
}

/** An unknown key is a problem of the key, not of the section it stands in. */
function problemsOf(issue: z.core.$ZodIssue): Problem[] {
  const [message = '', hint] = issue.message.split('\n')
  const paths = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...issue.path, key]) : [issue.path]
  return paths.map((path) => ({path, message, hint}))
}
