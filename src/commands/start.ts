import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../lib/cli/base-command.js'
import {configFiles} from '../lib/cli/calling-name.js'
import {list, seconds, trustFlags} from '../lib/cli/flags.js'
import {askedToEnd} from '../lib/cli/terminal.js'

export default class Start extends BaseCommand {
  static override summary = 'Run the services of this host.'
  static override description = `Runs what the configuration file enables: the Auth Service, the Proxy Service, the Database Service, the Discovery Service, in one
process or each alone on its host. On SIGTERM, SIGHUP and Ctrl-C no new sessions are taken; running ones get --drain to end, then they are ended with a sentence.`
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> -c ./agent.yaml --token=/tmp/token',
    '<%= config.bin %> <%= command.id %> --roles=auth,proxy --diag-addr=127.0.0.1:3000',
  ]
  static override flags = {
    config: Flags.string({
      char: 'c',
      description: 'configuration file (default: /etc/postern.yaml)',
      env: 'POSTERN_CONFIG_FILE',
      helpValue: 'FILE',
    }),
    roles: Flags.option({
      ...list,
      char: 'r',
      options: ['auth', 'proxy', 'db', 'discovery'] as const,
      description: 'run exactly these services, whatever the file enables',
    })(),
    token: Flags.string({description: 'join token, or the absolute path of a file that holds it', helpValue: 'TOKEN'}),
    'diag-addr': Flags.string({
      description: 'address for /healthz, /readyz and /metrics, plain HTTP',
      helpValue: 'HOST:PORT',
    }),
    'pid-file': Flags.string({description: 'file for the process id', helpValue: 'FILE'}),
    drain: seconds({
      default: 30,
      defaultHelp: () => Promise.resolve('30s'),
      description: 'how long sessions may go on after SIGTERM',
    }),
    'ca-file': trustFlags['ca-file'],
    debug: Flags.boolean({default: false, char: 'd', description: 'log more'}),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(Start)
    const {runServices} = await import('../lib/cluster/service.js')
    const {environment, clock} = this.surroundings
    await runServices({
      configFile: flags.config ?? configFiles()[0],
      roles: flags.roles,
      token: flags.token,
      diagAddr: flags['diag-addr'],
      pidFile: flags['pid-file'],
      drainMilliseconds: flags.drain * 1000,
      debug: flags.debug,
      version: this.config.version,
      caFile: flags['ca-file'],
      rootsFile: environment.rootsFile,
      clock,
      streams: process,
      stop: askedToEnd(),
    })
  }
}
