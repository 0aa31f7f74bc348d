/**
 * Opens the host as which a service speaks to the cluster: its data directory is locked, and its identity is read, or
 * made by joining.
 */
import {contactCluster} from '../api/contact.js'
import type {Endpoint} from '../api/transport.js'
import {resolvePins, resolveToken} from '../config/join.js'
import type {Config} from '../config/settings.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {Secret} from '../core/secret.js'
import type {Auth} from '../auth/options.js'
import type {Address} from '../resources/endpoint.js'
import {lockDataDirectory} from './data-directory-lock.js'
import type {Services} from './gauges.js'
import {HostIdentity, type HostOptions} from './host-identity.js'

export interface StartOptions {
  readonly config: Config
  /** Of this program. */
  readonly version: string
  /** Overrides the configuration's join token. */
  readonly token?: Secret | undefined
  /** Extra roots for the first contact with the cluster. */
  readonly caFile?: string | undefined
  readonly rootsFile?: string | undefined
  /** What the agent knows of AWS by variables; those of the process unless told. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined
  readonly logger: Logger
  readonly clock: Clock
  /** Gives up a start that is still waiting, for example for a cluster that cannot be reached. */
  readonly signal?: AbortSignal
}

/** What has to be undone at the end, last first. */
export type Cleanup = () => Promise<void>

/** Services that join the cluster: the role that they join with, and their name in sentences. */
const joining = {
  proxy: {systemRole: 'Proxy', title: 'Proxy Service'},
  db: {systemRole: 'Db', title: 'Database Service'},
  discovery: {systemRole: 'Discovery', title: 'Discovery Service'},
} as const

interface Opening {
  readonly service: keyof typeof joining
  readonly logger: Logger
  readonly cleanups: Cleanup[]
}

interface DirectOpening extends Opening {
  /** Where the API is reached. */
  readonly address: Address
  /** The Auth Service of this process, which lets the service join without a secret. */
  readonly auth: Auth | undefined
}

/** @throws PosternError when the data directory is in use, or the cluster refuses the host; waits for an unreachable one */
export async function openHost(
  options: StartOptions,
  {service, address, auth, logger, cleanups}: DirectOpening,
): Promise<HostIdentity> {
  const {config, version, clock, signal} = options
  const {systemRole} = joining[service]
  cleanups.push(await lockDataDirectory(config.dataDir, service))
  const host = await HostIdentity.open({
    dataDir: config.dataDir,
    systemRole,
    version,
    nodename: config.nodename,
    token: auth ? () => Promise.resolve(new Secret(auth.issueInternalToken(systemRole))) : () => joinToken(options),
    ...(!auth && joinsByIam(options) && {prove: prover(options)}),
    firstContact: () => firstContact(options, address, auth),
    address,
    clock,
    logger,
    ...(signal ? {signal} : {}),
  })
  cleanups.push(() => host.close())
  return host
}

/** A service that reaches everything through the proxy, this process's own or another. @throws as `openHost` */
export async function openHostBehindProxy(
  options: StartOptions,
  {auth, proxy}: Services,
  opening: Opening,
): Promise<{readonly host: HostIdentity; readonly proxyAddress: Address}> {
  const proxyAddress = proxy ? reachable(proxy.address) : options.config.proxyServer
  if (!proxyAddress) {
    throw new PosternError('INVALID', `The ${joining[opening.service].title} needs the address of a proxy.`, {
      hint: 'Set proxy_server in the configuration.',
    })
  }
  const local = auth && proxy ? auth : undefined
  return {host: await openHost(options, {...opening, address: proxyAddress, auth: local}), proxyAddress}
}

async function joinToken({config, token}: StartOptions): Promise<Secret | undefined> {
  return token ?? (await resolveToken(config))
}

/** A token on the command line is a secret, whatever the file says. */
const joinsByIam = ({config, token}: StartOptions): boolean => config.joinMethod === 'iam' && token === undefined

function prover({environment = process.env, clock}: StartOptions): NonNullable<HostOptions['prove']> {
  return async (binding) => {
    const {proveIdentity} = await import('../aws/identity-proof.js')
    return proveIdentity(binding, {environment, clock})
  }
}

/** With the pins of the Auth Service in this process, or with the trust that the configuration gives. */
async function firstContact(options: StartOptions, address: Address, auth: Auth | undefined): Promise<Endpoint> {
  const pins = auth ? auth.caPins() : await resolvePins(options.config)
  const {host, port} = auth ? reachable(auth.address) : address
  const {endpoint} = await contactCluster(host, port, {pins, caFile: options.caFile, rootsFile: options.rootsFile})
  return endpoint
}

/** A listening address as one that this machine can dial. */
function reachable({host, port}: Address): Address {
  if (host === '0.0.0.0') return {host: '127.0.0.1', port}
  return host === '::' ? {host: '::1', port} : {host, port}
}
