/** What is behind the API: opened on the data directory, from the storage up to the routes. */
import {join} from 'node:path'
import {PosternError} from '../core/errors.js'
import {formatAddress} from '../resources/endpoint.js'
import type {Backend} from '../storage/backend.js'
import {RecordingFiles} from '../storage/recording-files.js'
import {AccessExplainer} from './access-explainer.js'
import {createAccessRoutes} from './access-routes.js'
import {Accounts} from './accounts.js'
import {AuditLog} from './audit-log.js'
import {AuditVerification} from './audit-verification.js'
import {Authorities} from './authorities.js'
import {CallerVerifier} from './caller.js'
import {Cancels} from './cancels.js'
import {CertificateIssuer} from './certificate-issuer.js'
import {ClusterSettings} from './cluster-settings.js'
import {DatabaseAccess} from './database-access.js'
import {DatabaseCertificates} from './database-certificates.js'
import {DiscoveredDatabases} from './discovered-databases.js'
import {GuardedResources} from './guarded-resources.js'
import {Heartbeats} from './heartbeats.js'
import {HostEvents} from './host-events.js'
import {IamJoining} from './iam-joining.js'
import {createInstallRoutes} from './install-routes.js'
import {createInviteRoutes} from './invite-routes.js'
import {Joining} from './joining.js'
import {LiveSessions} from './live-sessions.js'
import {LoginLimits} from './login-limits.js'
import type {AuthCounters, AuthOptions} from './options.js'
import {PackageArchives} from './package-archive.js'
import {Passwords} from './passwords.js'
import {createHealthCheckPreset, createPresets, upgradePresets} from './presets.js'
import {Recordings} from './recordings.js'
import {Records} from './records.js'
import {ResourceStore} from './resource-store.js'
import {Retention} from './retention.js'
import type {Route} from './route.js'
import {createRoutes} from './routes.js'
import {Sealing} from './sealing.js'
import {SessionChain} from './session-chain.js'
import {SessionPlaces} from './session-places.js'
import {Stores} from './stores.js'
import {UnrecordedSessions} from './unrecorded-sessions.js'
import {UserCertificates} from './user-certificates.js'
import {Watches} from './watch.js'

export interface Services {
  readonly stores: Stores
  readonly authorities: Authorities
  readonly issuer: CertificateIssuer
  readonly verifier: CallerVerifier
  readonly joining: Joining
  readonly watches: Watches
  readonly retention: Retention
  readonly routes: readonly Route[]
}

const recordingsDirectory = 'recordings'

/** @throws PosternError INVALID when the directory is another cluster's, or a setting cannot be */
export async function openServices(options: AuthOptions, backend: Backend, counters: AuthCounters): Promise<Services> {
  const {cluster, clock, logger, version, defaultSessionTtlMilliseconds} = options
  const [publicAddress = options.listen] = options.publicAddresses
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
  const periods = options.retention ?? {}
  const retention = new Retention({
    ...{backend, files, audit, chain, sealing, clock, logger},
    periods,
  })
  const watches = new Watches({stores, authorities, verifier, clock, logger})
  const cancels = new Cancels({stores, watches, clock})
  const hostEvents = new HostEvents({
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
  })
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
      retention: periods,
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
      hostEvents,
      verification: new AuditVerification({
        ...{backend, files, sealing, clock},
        settled: (sid) => hostEvents.settled(sid),
      }),
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
  return {stores, authorities, issuer, verifier, joining, watches, retention, routes}
}

/** At the first start the cluster gets its name and its presets; later it keeps its name. */
async function settleCluster(stores: Stores, cluster: string): Promise<void> {
  const known = new Records<string>(stores.backend, 'cluster/')
  const name = (await known.get('name'))?.value
  if (name === undefined) {
    // In one write: whoever finds no name has to find no presets either.
    await stores.backend.write([...createPresets(stores), known.putting('name', cluster)])
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
