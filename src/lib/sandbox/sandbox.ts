/**
 * A sandbox AWS: the services' API and the metadata service over HTTP, and database endpoints under their real names in
 * front of a real PostgreSQL. Everything listens on 127.0.0.1; nothing reaches AWS.
 */
import {mkdir} from 'node:fs/promises'
import type {Clock} from '../core/clock.js'
import type {Logger} from '../core/log.js'
import {formatAddress} from '../resources/endpoint.js'
import type {DoorKeeper} from './admission.js'
import {agentEnvironment} from './agent-environment.js'
import {createApiServer} from './api-endpoint.js'
import {Authorities, type PublishedAuthorities} from './authorities.js'
import {createDatabaseListener} from './database-listener.js'
import type {WorldDefinition} from './definition.js'
import {listEndpoints, type DatabaseEndpoint} from './endpoints.js'
import {Listeners} from './listeners.js'
import {createMetadataServer} from './metadata-service.js'
import {createProxyDoor} from './proxy-door.js'
import {createRdsDoor} from './rds-door.js'
import {ensureRole, iamRole, type RealPostgres} from './real-postgres.js'
import {createRedshiftDoor} from './redshift-door.js'
import {createWorld, type World} from './world.js'

export interface SandboxOptions {
  readonly world: WorldDefinition
  /** Default: none, and so no database endpoints. */
  readonly postgres?: RealPostgres | undefined
  /** Where the authorities' certificates and a web identity's token are written; made when missing. */
  readonly directory: string
  readonly clock: Clock
  readonly logger: Logger
}

export interface Sandbox {
  /** Variables for an agent that is to live in the sandbox, its secrets among them. */
  readonly environment: Readonly<Record<string, string>>
  /** Where each database endpoint listens: `endpoint:port` → `127.0.0.1:port`. */
  readonly resolve: ReadonlyMap<string, string>
  /** What clients of the database endpoints have to trust. */
  readonly authorities: PublishedAuthorities
  /** To look at and to change while the sandbox runs. */
  readonly world: World
  /** Ends all connections and listeners. */
  close(): Promise<void>
}

/** @throws PosternError INVALID when the definition is wrong; what the real server says when it refuses. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const {logger, clock, directory} = options
  const world = createWorld(options.world, clock)
  const listeners = new Listeners()
  await mkdir(directory, {recursive: true})
  try {
    const apiPort = await listeners.open(createApiServer({world, logger}))
    const {agent} = world
    const metadataPort =
      agent?.kind === 'instance-profile' ? await listeners.open(createMetadataServer(world, agent)) : undefined
    const authorities = await Authorities.create(clock.now())
    const resolve = await openDatabases(options, {world, listeners, authorities})
    const {published, bundle} = await authorities.publish(directory)
    return {
      environment: await agentEnvironment(world, {directory, apiPort, metadataPort, resolve, authorities: bundle}),
      resolve,
      authorities: published,
      world,
      close: () => listeners.close(),
    }
  } catch (error) {
    await listeners.close()
    throw error
  }
}

interface Parts {
  readonly world: World
  readonly listeners: Listeners
  readonly authorities: Authorities
}

/** Opens all database endpoints; gives where each listens. */
async function openDatabases(
  {postgres, logger}: SandboxOptions,
  {world, listeners, authorities}: Parts,
): Promise<Map<string, string>> {
  if (!postgres) return new Map()
  await ensureRole(postgres, iamRole, 'nologin')
  const opened = listEndpoints(world).map(async (endpoint): Promise<[string, string]> => {
    const {host} = endpoint
    const keeper = keeperOf(endpoint, world, postgres)
    const credentials = await authorities.issue(endpoint)
    const listener = createDatabaseListener({world, postgres, keeper, host, credentials, logger})
    const port = await listeners.open(listener)
    return [formatAddress(endpoint), formatAddress({host: '127.0.0.1', port})]
  })
  return new Map(await Promise.all(opened))
}

function keeperOf(endpoint: DatabaseEndpoint, world: World, postgres: RealPostgres): DoorKeeper {
  const {host} = endpoint
  switch (endpoint.type) {
    case 'rds':
      return createRdsDoor({world, postgres, server: endpoint.server, host})
    case 'rdsproxy':
      return createProxyDoor({world, postgres, proxy: endpoint.proxy, host})
    case 'redshift':
      return createRedshiftDoor({world, postgres, server: endpoint.server, asks: 'md5'})
    case 'redshift-serverless':
      return createRedshiftDoor({world, postgres, server: endpoint.server, asks: 'cleartext'})
  }
}
