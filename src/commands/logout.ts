import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../lib/cli/base-command.js'
import {openUserLogin, requireProfile} from '../lib/cli/connection.js'
import {formatFlag, loginFlags} from '../lib/cli/flags.js'
import {ProfileStore, type Profile} from '../lib/config/profile.js'
import {PosternError} from '../lib/core/errors.js'

interface LoggedOut {
  readonly users: readonly {readonly user: string; readonly proxy: string}[]
}

export default class Logout extends BaseCommand {
  static override summary = 'Remove logins from this computer.'
  static override description =
    'Without flags all logins are removed. With --everywhere the cluster also voids every certificate of the user, on every computer, and ends their sessions.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --proxy=proxy.example.com',
    {command: '<%= config.bin %> <%= command.id %> --everywhere', description: 'After losing a laptop'},
  ]
  static override flags = {
    proxy: loginFlags.proxy,
    user: Flags.string({description: 'only when this user is logged in there', helpValue: 'NAME'}),
    everywhere: Flags.boolean({default: false, description: "void the user's certificates on every computer"}),
    ...formatFlag,
  }

  async run(): Promise<LoggedOut> {
    const {flags} = await this.parse(Logout)
    const store = new ProfileStore(this.surroundings.environment.home)
    if (flags.user !== undefined && flags.proxy === undefined) {
      throw new PosternError('USAGE', '--user needs --proxy.', {
        hint: 'Give both for one login, --proxy alone for a cluster, or neither for all logins.',
      })
    }
    const isOne = flags.proxy !== undefined || flags.everywhere
    const profiles = isOne ? [await requireProfile(store, flags)] : await store.list()
    if (flags.everywhere) {
      const login = await openUserLogin(flags, this.surroundings)
      await login.ask((client) => client.logout({everywhere: true}))
    }
    for (const profile of profiles) await store.remove(profile)
    const users = profiles.map(({user, proxy}) => ({user, proxy: proxy.host}))
    return this.show(flags.format, {users}, () => describe(profiles, isOne))
  }
}

function describe(profiles: readonly Profile[], isOne: boolean): string {
  if (profiles.length === 0) return 'All users logged out.'
  const [first] = profiles
  return isOne && first
    ? `Logged out ${first.user} from ${first.proxy.host}.`
    : 'Logged out all users from all proxies.'
}
