import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../lib/cli/base-command.js'
import {systemUser} from '../lib/cli/environment.js'
import {firstTrust, formatFlag, loginFlags, passwordStdinFlag, trustFlags, type Format} from '../lib/cli/flags.js'
import {insecureWarning, logIn, meetCluster, parseTtl, type LoggedIn} from '../lib/cli/login.js'
import {askPassword, readPassword, requireTerminal} from '../lib/cli/prompt.js'
import {parseProxyAddress, type ProxyAddress} from '../lib/cli/proxy-address.js'
import {profileData, renderProfile, type ProfileData} from '../lib/cli/status-text.js'
import {checkVersion} from '../lib/cli/version.js'
import {writeIdentityFile} from '../lib/config/identity-file.js'
import {requireAbsent} from '../lib/config/private-file.js'
import {ProfileStore, type Profile} from '../lib/config/profile.js'
import {PosternError} from '../lib/core/errors.js'
import {formatAddress} from '../lib/resources/endpoint.js'

export default class Login extends BaseCommand {
  static override summary = 'Log in to a cluster.'
  static override description = `Asks for the password and keeps a certificate that lives for some hours. While it is valid, logging in again only shows it.

The first login must know the cluster by something: a public certificate, --ca-pin, or --ca-file. Later ones know its CA.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> --proxy=proxy.example.com --user=alice',
    {
      command:
        '<%= config.bin %> <%= command.id %> --proxy=proxy.example.com:443 --ca-pin=sha256:… --password-stdin < password',
      description: 'In a CI job',
    },
    {
      command: '<%= config.bin %> <%= command.id %> --ttl=60 --out=identity.pem',
      description: 'Write an identity file for an hour, and keep no login',
    },
  ]
  static override flags = {
    proxy: loginFlags.proxy,
    user: loginFlags.user,
    ttl: Flags.string({description: 'how long the login is to last: minutes, or a duration', helpValue: 'MINUTES'}),
    out: Flags.string({char: 'o', description: 'write an identity file in place of the login', helpValue: 'FILE'}),
    overwrite: Flags.boolean({default: false, description: 'replace the identity file when it exists'}),
    'skip-version-check': Flags.boolean({
      default: false,
      description: 'log in although this program is too old for the cluster',
    }),
    ...passwordStdinFlag,
    ...trustFlags,
    ...formatFlag,
  }

  async run(): Promise<ProfileData> {
    const {flags} = await this.parse(Login)
    const wish = {...flags, ttlSeconds: flags.ttl === undefined ? undefined : parseTtl(flags.ttl)}
    const store = new ProfileStore(this.surroundings.environment.home)
    const proxy = await chooseProxy(store, flags.proxy)
    const known = await knownProfile(store, proxy)
    if (known && this.stillGood(known, wish)) {
      await store.use(known)
      return this.showProfile(store, known, flags.format)
    }
    if (flags.out !== undefined && !flags.overwrite) await requireAbsent(flags.out)
    const {profile, material} = await this.logInAnew(wish, {store, proxy, user: flags.user ?? known?.user})
    if (flags.out === undefined) {
      await store.save(profile, material)
    } else {
      await writeIdentityFile(
        flags.out,
        {...profile, ...material, proxy: formatAddress(profile.proxy)},
        {overwrite: flags.overwrite},
      )
      this.say(`The identity of ${profile.user} is in ${flags.out}; no login was kept.`)
    }
    return this.showProfile(store, profile, flags.format)
  }

  /** Whether a profile does what is asked for, so that no password is needed. */
  private stillGood(known: Profile, wish: Wish): boolean {
    const asksAnew = wish.ttlSeconds !== undefined || wish.out !== undefined || wish['password-stdin']
    const isSame = (wish.user ?? known.user) === known.user
    return !asksAnew && isSame && Date.parse(known.expires) > this.surroundings.clock.now()
  }

  private async logInAnew(wish: Wish, {store, proxy, user = systemUser()}: Target): Promise<LoggedIn> {
    if (!wish['password-stdin']) requireTerminal()
    if (wish.insecure) this.say(insecureWarning(proxy.host))
    const meeting = await meetCluster(proxy, firstTrust(wish, this.surroundings.environment), store)
    if (!wish['skip-version-check']) checkVersion(this.config.version, meeting.contact.find)
    const password = wish['password-stdin']
      ? await readPassword()
      : await askPassword(`Enter password for Postern user ${user}:`)
    try {
      return await logIn(meeting, {user, password, ttlSeconds: wish.ttlSeconds})
    } catch (error) {
      if (wish.user !== undefined || !(error instanceof PosternError) || error.code !== 'ACCESS_DENIED') throw error
      throw new PosternError(error.code, error.message, {
        cause: error,
        hint: [...error.hints, `You were taken for ${user}; --user names somebody else.`],
      })
    }
  }

  private async showProfile(store: ProfileStore, profile: Profile, format: Format): Promise<ProfileData> {
    const databases = (await store.databases(profile).list()).map(({route}) => route.database)
    const now = this.surroundings.clock.now()
    return this.show(format, profileData({profile, databases}), (data) => renderProfile(data, {current: true, now}))
  }
}

interface Wish {
  readonly user: string | undefined
  readonly ttlSeconds: number | undefined
  readonly out: string | undefined
  readonly insecure: boolean
  readonly 'ca-pin': string[] | undefined
  readonly 'ca-file': string | undefined
  readonly 'password-stdin': boolean
  readonly 'skip-version-check': boolean
}

interface Target {
  readonly store: ProfileStore
  readonly proxy: ProxyAddress
  readonly user: string | undefined
}

async function chooseProxy(store: ProfileStore, named: string | undefined): Promise<ProxyAddress> {
  if (named !== undefined) return parseProxyAddress(named)
  const current = await store.read()
  if (current) return current.proxy
  throw new PosternError('USAGE', 'Which cluster? There was no login before.', {
    hint: 'Name its proxy with --proxy=HOST[:PORT].',
  })
}

/** The profile of this proxy; one of another port on the same host is of another cluster. */
async function knownProfile(store: ProfileStore, {host, port}: ProxyAddress): Promise<Profile | undefined> {
  const profile = await store.read(host)
  return profile && (port === undefined || port === profile.proxy.port) ? profile : undefined
}
