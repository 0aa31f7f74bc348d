import * as Flags from '@oclif/core/flags'
import {once} from 'node:events'
import {mkdir, mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {formatFlag} from '../../lib/cli/flags.js'
import {askedToEnd} from '../../lib/cli/terminal.js'
import {guides, type Guide} from '../../lib/cluster/guide-world.js'
import {createLogger} from '../../lib/core/log.js'

export default class SandboxUp extends BaseCommand {
  static override summary =
    'Start a sandbox AWS and a cluster on this machine, to follow a guide without an AWS account.'
  static override description = `Starts a control plane and a proxy, a fake AWS (STS, IAM, RDS, Redshift) and the guide's database under its AWS name in front of
a real PostgreSQL, all on loopback, and prints the steps of the guide that are left: they work as the guide has them.
It ends with Ctrl-C, and leaves nothing behind unless --dir asks for it.`
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --guide redshift --dir /tmp/sandbox',
  ]
  static override flags = {
    guide: Flags.option({options: guides, default: 'aurora' as Guide, description: 'the guide to follow'})(),
    dir: Flags.string({
      description: 'work in this directory and leave it there (default: a temporary one)',
      helpValue: 'DIR',
    }),
    ...formatFlag,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(SandboxUp)
    const asked = askedToEnd()
    const directory = flags.dir === undefined ? await mkdtemp(join(tmpdir(), 'postern-sandbox-')) : resolve(flags.dir)
    try {
      await mkdir(directory, {recursive: true, mode: 0o700})
      const {startGuideCluster} = await import('../../lib/cluster/guide-cluster.js')
      const {remainingSteps} = await import('../../lib/cli/sandbox-steps.js')
      const running = await startGuideCluster({
        guide: flags.guide,
        directory,
        version: this.config.version,
        logger: await createLogger({level: 'warn', format: 'text', output: process.stderr}),
        clock: this.surroundings.clock,
        onProgress: (step) => {
          this.say(`* ${step}`)
        },
      })
      try {
        await this.show(flags.format, running.facts, (facts) => remainingSteps(facts, this.config.bin))
        if (!asked.aborted) await once(asked, 'abort')
      } finally {
        await running.stop()
      }
    } finally {
      if (flags.dir === undefined) await rm(directory, {recursive: true, force: true})
    }
  }
}
