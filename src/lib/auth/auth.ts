/** The Auth Service: the control plane's authorities, resources, audit log and web endpoint behind one listener. */
import type {Socket} from 'node:net'
import {join} from 'node:path'
import type {AwsEnvironment} from '../aws/environment.js'
import type {Clock} from '../core/clock.js'
import {messageOf, PosternError} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import type {Credentials} from '../pki/credentials.js'
import {generateKeys} from '../pki/keys.js'
import {formatAddress, type Address} from '../resources/endpoint.js'
import {authServerName} from '../resources/route.js'
import type {SettingsSpecs} from '../resources/resource.js'
import type {JoinRole} from '../resources/token.js'
import {RecordingFiles} from '../storage/recording-files.js'
import {openSqlite} from '../storage/sqlite.js'
import type {Backend} from '../storage/backend.js'
import {AccessExplainer} from './access-explainer.js'
import {createAccessRoutes} from './access-routes.js'
import {Accounts} from './accounts.js'
import {writeAdminIdentity} from './admin-identity.js'
import {AuditLog} from './audit-log.js'
import {AuditVerification} from './audit-verification.js'
import {Authorities} from './authorities.js'
import {Cancels} from './cancels.js'
import {CallerVerifier} from './caller.js'
import {CertificateIssuer} from './certificate-issuer.js'
import {DatabaseAccess} from './database-access.js'
import {DatabaseCertificates} from './database-certificates.js'
import {GuardedResources} from './guarded-resources.js'
import {DiscoveredDatabases} from './discovered-databases.js'
import {Heartbeats} from './heartbeats.js'
import {HostEvents} from './host-events.js'
import {ClusterSettings} from './cluster-settings.js'
import {createHttpApp} from './http-app.js'
import {createInstallRoutes} from './install-routes.js'
import {createInviteRoutes} from './invite-routes.js'
import {IamJoining} from './iam-joining.js'
import {Joining, type StaticToken} from './joining.js'
import {Listener} from './listener.js'
import {LiveSessions} from './live-sessions.js'
import {LoginLimits} from './login-limits.js'
import {PackageArchives} from './package-archive.js'
import {Passwords} from './passwords.js'
import {createHealthCheckPreset, createPresets, upgradePresets} from './presets.js'
import {Records} from './records.js'
import {ResourceStore} from './resource-store.js'
import {Recordings} from './recordings.js'
import {createRoutes} from './routes.js'
import {Sealing} from './sealing.js'
import {SessionChain} from './session-chain.js'
import {SessionPlaces} from './session-places.js'
import {Stores} from './stores.js'
import {UnrecordedSessions} from './unrecorded-sessions.js'
import {UserCertificates} from './user-certificates.js'
import {Watches} from './watch.js'
import {WebCertificates} from './web-certificates.js'

export interface AuthOptions {
  readonly dataDir: string
  readonly cluster: string
  readonly listen: Address
  /** Where people and agents reach the proxy; the first is the one in links. */
  readonly publicAddresses: readonly Address[]
  /** For the web endpoint, from a public authority. */
  readonly httpsKeypairs: readonly Credentials[]
  readonly staticTokens: readonly StaticToken[]
  readonly defaultSessionTtlMilliseconds: number
  /** What the configuration file says about the settings of the whole cluster. */
  readonly settings?: SettingsSpecs | undefined
  /** What a new password's hash costs; by default what is advised, a quarter of a second. */
  readonly passwordCost?: number | undefined
  readonly version: string
  /** Names the endpoint of AWS STS when it is not AWS's own. */
  readonly environment: AwsEnvironment
  readonly logger: Logger
  readonly clock: Clock
}

export interface AuthCounters {
  requests: number
  refused: number
  logins: number
  failedLogins: number
  joins: number
  failedJoins: number
}

export interface Auth {
  readonly address: Address
  readonly cluster: string
  /** The file with the identity of whoever administers from this host. */
  readonly adminIdentity: string
  readonly counters: Readonly<AuthCounters>
  caPins(): readonly string[]
  /** A join token for a host in this process; it works once. */
  issueInternalToken(role: JoinRole): string
  /** Takes a connection from a proxy in this process, `head` first. */
  accept(socket: Socket, head: Buffer): void
  close(): Promise<void>
}

/** Our own certificates live 90 days; a new one a day is cheap and needs no look at the calendar. */
const renewalInterval = 24 * 3_600_000
const recordingsDirectory = 'recordings'
const adminIdentityFile = 'admin-identity.pem'

/**
 * Starts the control plane on its data directory.
 * @throws PosternError CONFLICT when another process has the directory, INVALID when something in the options is wrong
 */
export async function startAuth(options: AuthOptions): Promise<Auth> {
  checkClusterName(options.cluster)
  const backend = await openSqlite({path: join(options.dataDir, 'backend.sqlite'), clock: options.clock})
  try {
    return await serve(options, backend)
  } catch (error) {
    await backend.close()
    throw error
  }
}

async function serve(options: AuthOptions, backend: Backend): Promise<Auth> {
  const {cluster, clock, logger, version, defaultSessionTtlMilliseconds} = options
  const [publicAddress = options.listen] = options.publicAddresses
  const counters: AuthCounters = {requests: 0, refused: 0, logins: 0, failedLogins: 0, joins: 0, failedJoins: 0}
  const stores = new Stores(backend)
  await settleCluster(stores, cluster)

  const authorities = await Authorities.load(backend, cluster, clock)
  const issuer = new CertificateIssuer(authorities, cluster, clock)
  const sealing = await Sealing.load(backend, clock)
  const audit = new AuditLog(backend, cluster, clock, sealing.key)
  await upgradePresets(stores, audit)
  const settings = new ClusterSettings(stores, audit)
  await settings.settle(options.settings ?? {})
  const verifier = new CallerVerifier(authorities, stores, clock)
  const passwords = new Passwords(options.passwordCost)
  const accounts = new Accounts({stores, passwords, audit, clock, publicAddress})
  const joining = new Joining({
    stores,
    authorities,
    issuer,
    audit,
    clock,
    counters,
    publicAddress,
    iam: new IamJoining(options),
    staticTokens: options.staticTokens,
  })
  const files = await RecordingFiles.open(join(options.dataDir, recordingsDirectory), sealing)
  const chain = new SessionChain({backend, sealing, audit, logger})
  const recordings = new Recordings({files, cluster, audit, chain, stores, verifier})
  const watches = new Watches({stores, authorities, verifier, clock, logger})
  const cancels = new Cancels({stores, watches, clock})
  const routes = [
    ...createRoutes({
      cluster,
      version,
      publicAddress,
      defaultSessionTtlMilliseconds,
      authorities,
      accounts,
      joining,
      watches,
      cancels,
      audit,
      userCertificates: new UserCertificates({
        stores,
        authorities,
        issuer,
        passwords,
        audit,
        clock,
        counters,
        defaultSessionTtlMilliseconds,
        limits: new LoginLimits(clock),
      }),
      databaseAccess: new DatabaseAccess({stores, issuer, audit}),
      databaseCertificates: new DatabaseCertificates({stores, authorities, issuer, verifier, clock}),
      discoveredDatabases: new DiscoveredDatabases({stores, audit}),
      heartbeats: new Heartbeats({stores, audit, clock, logger}),
      hostEvents: new HostEvents({
        audit,
        recordings,
        chain,
        unrecorded: new UnrecordedSessions({
          chain,
          recordings,
          mode: async () => (await settings.get('session_recording_config')).spec.mode,
        }),
        cluster,
        clock,
        logger,
      }),
      verification: new AuditVerification({backend, files, sealing, clock}),
      recordings,
      liveSessions: new LiveSessions({watches, stores, audit, clock}),
      places: new SessionPlaces(watches),
      sealing,
      splices: backend,
      resources: new GuardedResources(new ResourceStore({stores, accounts, joining, settings, audit, clock})),
    }),
    ...createAccessRoutes(new AccessExplainer({stores, audit, clock})),
    ...createInviteRoutes({accounts, cluster, proxy: formatAddress(publicAddress)}),
    ...createInstallRoutes({archives: new PackageArchives(join(options.dataDir, 'package')), version, publicAddress}),
  ]

  const ownCertificates = async (): Promise<{api: Credentials; web: Credentials}> => ({
    api: await serverCredentials(issuer, [authServerName(cluster)]),
    web: await serverCredentials(issuer, webNames(options)),
  })
  const own = await ownCertificates()
  const webCertificates = new WebCertificates(options.httpsKeypairs, own.web)
  const app = await createHttpApp({
    routes,
    verifier,
    client: (socket) => listener.clientOf(socket),
    logger,
    counters,
  })
  const listener = await Listener.open({
    listen: options.listen,
    cluster,
    apiCredentials: own.api,
    clientAuthorities: [...authorities.trusted('user'), ...authorities.trusted('host')],
    webCertificates,
    serve: (socket) => {
      app.accept(socket)
    },
    logger,
  })

  const adminIdentity = join(options.dataDir, adminIdentityFile)
  const renewAdminIdentity = (): Promise<void> =>
    writeAdminIdentity({file: adminIdentity, stores, authorities, issuer, now: clock.now()})
  await renewAdminIdentity()
  const renewing = setInterval(() => {
    const renew = async (): Promise<void> => {
      const {api, web} = await ownCertificates()
      webCertificates.renew(web)
      listener.renew(api)
      await renewAdminIdentity()
    }
    renew().catch((error: unknown) => {
      logger.error('The certificates of the Auth Service could not be renewed.', {reason: messageOf(error)})
    })
  }, renewalInterval)
  renewing.unref()

  return {
    address: listener.address,
    cluster,
    adminIdentity,
    counters,
    caPins: () => authorities.pins(),
    issueInternalToken: (role) => joining.issueInternalToken(role),
    accept: (socket, head) => {
      listener.accept(socket, head)
    },
    close: async () => {
      clearInterval(renewing)
      watches.close()
      await listener.close()
      await app.close()
      await backend.close()
    },
  }
}

/** It becomes part of server names, with a host id of 36 characters in front. */
function checkClusterName(name: string): void {
  if (name.length <= 190 && name.split('.').every((label) => /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(label))) return
  throw new PosternError('INVALID', `"${name}" cannot be the name of a cluster.`, {
    hint: 'Take a name like postern.example.com: lower-case letters, digits, hyphens and dots.',
  })
}

/** At the first start the cluster gets its name and its presets; later it keeps its name. */
async function settleCluster(stores: Stores, cluster: string): Promise<void> {
  const known = new Records<string>(stores.backend, 'cluster/')
  const name = (await known.get('name'))?.value
  if (name === undefined) {
    await createPresets(stores)
    await known.create('name', cluster)
  } else if (name !== cluster) {
    throw new PosternError('INVALID', `This data directory belongs to the cluster "${name}", not to "${cluster}".`, {
      hint: 'A cluster cannot be renamed: its name is in every certificate. Set auth_service.cluster_name back.',
    })
  }
  const checked = 'health_check_preset'
  if (await known.get(checked)) return
  await createHealthCheckPreset(stores)
  await known.put(checked, 'made')
}

/** Names by which people, proxies and tests on this machine may reach the web endpoint. */
function webNames({cluster, listen, publicAddresses}: AuthOptions): string[] {
  const anywhere = ['0.0.0.0', '::']
  const hosts = [cluster, ...publicAddresses.map(({host}) => host), listen.host, 'localhost', '127.0.0.1', '::1']
  return [...new Set(hosts)].filter((host) => !anywhere.includes(host))
}

async function serverCredentials(issuer: CertificateIssuer, names: readonly string[]): Promise<Credentials> {
  const keys = await generateKeys()
  const {certificate} = await issuer.server(names, keys.publicKey)
  return {certificate, privateKey: keys.privateKey}
}
