import {BaseCommand} from '../lib/cli/base-command.js'
import {formatFlag} from '../lib/cli/flags.js'

export default class Version extends BaseCommand {
  static override summary = 'Print the version.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --format=json',
  ]
  static override flags = {...formatFlag}

  async run(): Promise<object> {
    const {flags} = await this.parse(Version)
    const {version} = this.config
    const data = {version, node: process.version, platform: `${process.platform}-${process.arch}`}
    return this.show(flags.format, data, () => `Postern v${version} node ${process.version}`)
  }
}
