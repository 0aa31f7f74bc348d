import * as Args from '@oclif/core/args'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openUserLogin} from '../../lib/cli/connection.js'
import {examineDatabase, renderExamination, type ExaminedDatabase} from '../../lib/cli/database-examination.js'
import {accountFlags, formatFlag, labelsFlag, loginFlags, mergeLabels} from '../../lib/cli/flags.js'

export default class DbDoctor extends BaseCommand {
  static override summary = 'Look for what keeps you from a database, and say what to do about it.'
  static override description = `The agent that serves the database checks everything on the way to it, as you: your access, its AWS credentials and clock, the database in AWS, the permission to sign in, the address, the certificate, and a sign-in. It needs no AWS credentials here. What the agent may not look at is skipped, with the reason.

Exits with 0 when nothing failed, and with 1 otherwise.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> --db-user=alice --db-name=postgres orders',
    '<%= config.bin %> <%= command.id %> orders --format=json',
  ]
  static override args = {
    database: Args.string({
      ignoreStdin: true,
      description: 'database to look at (default: the one you are logged in to)',
    }),
  }
  static override flags = {...accountFlags, ...labelsFlag, ...formatFlag, ...loginFlags}

  async run(): Promise<ExaminedDatabase> {
    const {args, flags} = await this.parse(DbDoctor)
    const {notices, ...examined} = await examineDatabase({
      login: await openUserLogin(flags, this.surroundings),
      selector: {name: args.database, labels: mergeLabels(flags.labels)},
      dbUser: flags['db-user'],
      dbName: flags['db-name'],
    })
    for (const notice of notices) this.say(notice)
    if (!examined.ok) process.exitCode = 1
    return this.show(flags.format, examined, renderExamination)
  }
}
