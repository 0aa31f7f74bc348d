import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {
  answersData,
  decisionData,
  renderAnswers,
  renderDecision,
  type AnswersData,
  type DecisionData,
} from '../../lib/cli/explanation-text.js'
import {adminFlags, formatFlag, list} from '../../lib/cli/flags.js'
import {PosternError} from '../../lib/core/errors.js'

export default class AccessExplain extends BaseCommand {
  static override summary = 'Explain why somebody gets into a database or not.'
  static override description =
    'With an ID: a denial that was; the message of the denial has its id. Without: what agents would decide now. Who may read roles sees every role of the user, others about themselves their own.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --user=alice --database=orders --db-user=reader --db-name=shop',
    '<%= config.bin %> <%= command.id %> 307b49d6-56c7-4d20-8cf0-5bc5348a7101',
    '<%= config.bin %> <%= command.id %> --database=orders --db-user=reader --format=json',
  ]
  static override args = {
    id: Args.string({ignoreStdin: true, description: 'id of a denial'}),
  }
  static override flags = {
    ...adminFlags,
    ...formatFlag,
    user: Flags.string({description: 'whose access (default: your own)', helpValue: 'NAME'}),
    database: Flags.string({description: 'the database, as `postern db ls` names it', helpValue: 'NAME'}),
    'db-user': Flags.string({char: 'u', description: 'as which database user', helpValue: 'NAME'}),
    'db-name': Flags.string({
      char: 'n',
      description: 'to which database name (default: the same as the database user, as in PostgreSQL)',
      helpValue: 'NAME',
    }),
    'db-roles': Flags.string({...list, description: 'with which database roles', helpValue: 'NAME,'}),
  }

  async run(): Promise<DecisionData | AnswersData> {
    const {args, flags} = await this.parse(AccessExplain)
    const {user, database, 'db-user': dbUser, 'db-name': dbName, 'db-roles': dbRoles} = flags
    const connection = await openAdminConnection({...flags, user: undefined}, this.surroundings)
    const {id} = args
    if (id !== undefined) {
      if ([user, database, dbUser, dbName, dbRoles].some((flag) => flag !== undefined)) {
        throw new PosternError('USAGE', 'Give either the id of a denial, or flags that say whose access it is about.')
      }
      const decision = await connection.ask((client) => client.decision(id))
      return this.show(flags.format, decisionData(decision), renderDecision)
    }
    if (database === undefined || dbUser === undefined) {
      throw new PosternError('USAGE', 'Say which access: --database and --db-user are needed, or the id of a denial.')
    }
    const question = {user, database, dbUser, dbName, dbRoles}
    const answers = await connection.ask((client) => client.explainAccess(question))
    return this.show(flags.format, answersData(answers), renderAnswers)
  }
}
