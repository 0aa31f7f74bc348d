import {join} from 'node:path'
import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import type {VisibleDatabase} from '../../lib/api/responses.js'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openUserLogin} from '../../lib/cli/connection.js'
import {
  executeOnAll,
  selectDatabases,
  summaryFile,
  type Execution,
  type ExecutionSummary,
} from '../../lib/cli/database-execution.js'
import {foundText, outputText} from '../../lib/cli/execution-text.js'
import {accountFlags, formatFlag, list, loginFlags, mergeLabels, repeated} from '../../lib/cli/flags.js'
import {askConfirmation} from '../../lib/cli/prompt.js'
import {askedToEnd, isInteractive} from '../../lib/cli/terminal.js'
import {PosternError} from '../../lib/core/errors.js'

const mostAtOnce = 10

export default class DbExec extends BaseCommand {
  static override summary = 'Run a statement on several databases.'
  static override description = `Runs SQL on each of the databases, as yourself and audited as every session; psql is not needed. Several statements
in one are one transaction. The databases are listed first, and a terminal is asked to confirm. The exit code is 1 when a database
failed, unless --ignore-failures is given.`
  static override examples = [
    "<%= config.bin %> <%= command.id %> 'select count(*) from orders' --dbs=eu-orders,us-orders",
    "<%= config.bin %> <%= command.id %> 'analyze' --labels=env=dev --db-user=maintenance --no-confirm",
    "<%= config.bin %> <%= command.id %> 'select version()' --search=orders --parallel=5 --output-dir=versions",
    "<%= config.bin %> <%= command.id %> 'show server_version' --labels=env=prod --format=json --no-confirm",
  ]
  static override args = {
    statement: Args.string({ignoreStdin: true, required: true, description: 'SQL to run'}),
  }
  static override flags = {
    dbs: Flags.string({...list, description: 'databases, by name', helpValue: 'NAME,'}),
    labels: Flags.string({...repeated, description: 'all databases with these labels', helpValue: 'KEY=VALUE,'}),
    search: Flags.string({...list, description: 'all databases in which these words occur', helpValue: 'WORD,'}),
    parallel: Flags.integer({
      default: 1,
      description: `databases at the same time, 1 to ${mostAtOnce}`,
      helpValue: 'N',
    }),
    'output-dir': Flags.string({
      description: "new directory for each database's output, and summary.json",
      helpValue: 'DIR',
    }),
    confirm: Flags.boolean({default: true, allowNo: true, description: 'ask before anything runs'}),
    'ignore-failures': Flags.boolean({default: false, description: 'exit with 0 also when databases failed'}),
    ...accountFlags,
    ...loginFlags,
    ...formatFlag,
  }

  async run(): Promise<ExecutionSummary | undefined> {
    const {args, flags} = await this.parse(DbExec)
    checkFlags(flags)
    const login = await openUserLogin(flags, this.surroundings)
    this.say(flags.dbs ? 'Fetching databases by name ...' : 'Searching databases ...')
    const {databases: visible} = await login.ask((client) => client.visibleDatabases())
    const databases = selectDatabases(visible, {
      names: flags.dbs,
      labels: mergeLabels(flags.labels),
      search: flags.search,
    })
    this.say(await foundText(databases))
    if (flags.confirm && !(await this.confirmed(databases))) return undefined
    const outputDirectory = flags['output-dir']
    const summary = await executeOnAll({
      login,
      databases,
      sql: args.statement,
      account: {
        ...(flags['db-user'] !== undefined && {dbUser: flags['db-user']}),
        ...(flags['db-name'] !== undefined && {dbName: flags['db-name']}),
      },
      parallel: flags.parallel,
      outputDirectory,
      abort: askedToEnd(),
      onStart: (database, outputFile) => {
        this.say(
          `Executing command for "${database}".${outputFile === undefined ? '' : ` Output will be saved at "${outputFile}".`}`,
        )
      },
      onEnd: ({success, database, error = '', hints = []}) => {
        if (success) return
        this.say([`Failed to execute command for "${database.service_name}": ${error}`, ...hints].join('\n  '))
      },
    })
    await this.show(flags.format, summary, () => (outputDirectory === undefined ? allOutput(summary.databases) : ''))
    if (summary.total > 1 || outputDirectory !== undefined) {
      this.say(`Summary: ${summary.success} of ${summary.total} succeeded.`)
    }
    if (outputDirectory !== undefined) this.say(`Summary is saved at "${join(outputDirectory, summaryFile)}".`)
    if (summary.failure > 0 && !flags['ignore-failures']) process.exitCode = 1
    return summary
  }

  private async confirmed(databases: readonly VisibleDatabase[]): Promise<boolean> {
    if (await askConfirmation(`Do you want to proceed with ${databases.length} database(s)?`)) return true
    this.say('Nothing was run.')
    return false
  }
}

interface CheckedFlags {
  readonly dbs?: readonly string[] | undefined
  readonly labels?: readonly string[] | undefined
  readonly search?: readonly string[] | undefined
  readonly parallel: number
  readonly confirm: boolean
}

/** @throws PosternError USAGE, before anybody is asked anything */
function checkFlags({dbs, labels, search, parallel, confirm}: CheckedFlags): void {
  if (parallel < 1 || parallel > mostAtOnce) {
    throw new PosternError('USAGE', `--parallel must be between 1 and ${mostAtOnce}.`)
  }
  if (!dbs && !labels && !search) throw new PosternError('USAGE', 'Please provide one of --dbs, --labels, --search.')
  if (dbs && (labels ?? search)) {
    throw new PosternError('USAGE', '--labels and --search cannot be used with --dbs.')
  }
  if (confirm && !isInteractive()) {
    throw new PosternError('USAGE', 'There is no terminal to confirm on.', {
      hint: 'Add --no-confirm to run the statement without being asked.',
    })
  }
}

/** One table per database, named where there are several. */
async function allOutput(executions: readonly Execution[]): Promise<string> {
  const texts = executions.map(async ({database, results = [], notices = [], success}) => {
    if (!success) return undefined
    const text = await outputText({results, notices})
    return executions.length === 1 ? text : `${database.service_name}:\n${text}`
  })
  return (await Promise.all(texts))
    .filter((text) => text !== undefined)
    .join('\n')
    .trimEnd()
}
