import type {StatusResponse} from '../lib/api/responses.js'
import {BaseCommand} from '../lib/cli/base-command.js'
import {calledAs} from '../lib/cli/calling-name.js'
import {openAdminConnection, requireProfile, type AdminChoice} from '../lib/cli/connection.js'
import {variablesInUse} from '../lib/cli/environment.js'
import {adminFlags, formatFlag, type Format} from '../lib/cli/flags.js'
import {
  clusterData,
  profileData,
  renderCluster,
  renderProfile,
  type ClusterData,
  type ProfileData,
} from '../lib/cli/status-text.js'
import {loginExpired} from '../lib/cli/user-login.js'
import {ProfileStore, type Profile} from '../lib/config/profile.js'
import {PosternError, type ErrorCode} from '../lib/core/errors.js'

interface StatusData {
  /** What administrators may see. */
  readonly cluster?: ClusterData
  readonly active: ProfileData | null
  readonly profiles: readonly ProfileData[]
  readonly environment: Readonly<Record<string, string>>
}

export default class Status extends BaseCommand {
  static override summary = 'Show the login, and to administrators the cluster.'
  static override description =
    'Exit code 3 when there is no login, or the one in use has expired. The CA pin is what first logins and new hosts know the cluster by. How long events and recordings are kept is said where that is not for ever.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --format=json',
  ]
  static override flags = {...adminFlags, ...formatFlag}

  async run(): Promise<StatusData> {
    const {flags} = await this.parse(Status)
    const {clock, environment} = this.surroundings
    const alias = calledAs()
    if (alias === 'tctl') return this.showCluster(flags)
    const store = new ProfileStore(environment.home)
    const profiles = await store.list()
    if (alias === 'tsh' && profiles.length === 0) await requireProfile(store, flags)
    const statuses = await Promise.all(profiles.map((profile) => describeProfile(store, profile)))
    const status = alias === 'tsh' ? undefined : await this.askCluster(flags, profiles.length > 0)
    const cluster = status && clusterData(status)
    const [first] = profiles
    const active = first && (await store.isCurrent(first)) ? statuses[0] : undefined
    const data: StatusData = {
      ...(cluster && {cluster}),
      active: active ?? null,
      profiles: statuses.filter((status) => status !== active),
      environment: variablesInUse(),
    }
    await this.show(flags.format, data, async () => {
      const now = clock.now()
      const blocks = statuses.map((status) => renderProfile(status, {current: status === active, now}))
      return [...(cluster ? [await renderCluster(cluster)] : []), ...blocks].join('\n\n')
    })
    if (!cluster && first && active && Date.parse(first.expires) <= clock.now()) throw loginExpired(first)
    return data
  }

  /** The cluster and nothing else. */
  private async showCluster({format, ...choice}: AdminChoice & {readonly format: Format}): Promise<StatusData> {
    const connection = await openAdminConnection(choice, this.surroundings)
    const cluster = clusterData(await connection.ask((client) => client.status()))
    await this.show(format, cluster, () => renderCluster(cluster))
    return {cluster, active: null, profiles: [], environment: variablesInUse()}
  }

  /** What administrators may see; that others may not is no failure, and neither is being offline with a login to show. */
  private async askCluster(choice: AdminChoice, hasLogin: boolean): Promise<StatusResponse | undefined> {
    try {
      const connection = await openAdminConnection(choice, this.surroundings)
      return await connection.ask((client) => client.status())
    } catch (error) {
      if (!hasLogin || !(error instanceof PosternError)) throw error
      if (!quiet.includes(error.code)) this.say(`The cluster could not be asked: ${error.message}`)
      return undefined
    }
  }
}

/** The block about the login says it already, or there is nothing to say. */
const quiet: readonly ErrorCode[] = ['ACCESS_DENIED', 'EXPIRED', 'NOT_LOGGED_IN']

async function describeProfile(store: ProfileStore, profile: Profile): Promise<ProfileData> {
  const databases = (await store.databases(profile).list()).map(({route}) => route.database)
  return profileData({profile, databases})
}
