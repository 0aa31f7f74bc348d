/** A whole cluster on loopback with a real PostgreSQL server, for trying things out. */
import {randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {mkdir, writeFile} from 'node:fs/promises'
import {createServer, type AddressInfo} from 'node:net'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {ApiClient} from '../api/client.js'
import {parseConfig} from '../config/file.js'
import {readIdentityFile} from '../config/identity-file.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {Secret} from '../core/secret.js'
import {generateKeys} from '../pki/keys.js'
import {parseDocuments} from '../resources/document.js'
import {authServerName} from '../resources/route.js'
import {startPostgres, type PostgresServer} from './postgres.js'
import {startCluster, type Cluster} from './start.js'

export const quickstartUser = 'alice'
export const quickstartDatabase = 'shop'
const cluster = 'quickstart'
const servedAttempts = 200
/** Milliseconds. */
const servedInterval = 50

/** The role of the Aurora guide. */
const role = `
kind: role
version: v3
metadata:
  name: db
spec:
  allow:
    db_labels:
      '*': '*'
    db_names:
    - '*'
    db_users:
    - '*'
`

/** alice may read the products and not change them, so that a refused statement can be seen; tables of her own are for pgbench. */
const seed = `
CREATE ROLE alice LOGIN;
CREATE TABLE products (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, price numeric(8, 2) NOT NULL);
INSERT INTO products (name, price) VALUES
  ('Laptop', 1200.00), ('Monitor', 310.00), ('Keyboard', 85.50), ('Mouse', 24.90), ('Headset', 59.00),
  ('Webcam', 45.00), ('Dock', 149.00), ('Cable', 9.95), ('Lamp', 34.00), ('Desk', 420.00);
GRANT SELECT ON products TO alice;
GRANT CREATE ON SCHEMA public TO alice;
`

export interface QuickstartOptions {
  /** Empty, and only ours. */
  readonly directory: string
  readonly version: string
  readonly logger: Logger
  readonly clock: Clock
  /** Told before each step. */
  readonly onProgress: (step: string) => void
}

export interface Quickstart {
  /** `host:port` */
  readonly proxy: string
  readonly caPin: string
  readonly user: string
  /** Of the user. */
  readonly password: Secret
  readonly database: string
  /** Where administrators' commands find the cluster: the configuration of its Auth Service. */
  readonly configFile: string
  stop(): Promise<void>
}

/**
 * Starts a control plane and a proxy, a PostgreSQL server whose certificate they sign, an agent beside it, and makes a user.
 * @throws PosternError; what was started is stopped again
 */
export async function startQuickstart(options: QuickstartOptions): Promise<Quickstart> {
  const {directory, logger, clock, version, onProgress} = options
  const running: {stop(): Promise<void>}[] = []
  const stop = async (): Promise<void> => {
    for (const part of running.splice(0).reverse()) await part.stop()
  }
  const begin = async (name: string, config: string, token?: Secret): Promise<Cluster> => {
    await mkdir(join(directory, name), {recursive: true, mode: 0o700})
    const file = join(directory, name, 'postern.yaml')
    await writeFile(file, config, {mode: 0o600})
    const service = await startCluster({config: parseConfig(config, {name: file}), version, token, logger, clock})
    running.push({stop: () => service.stop(0)})
    return service
  }
  try {
    onProgress('Starting the control plane and the proxy')
    const proxy = `127.0.0.1:${await freePort()}`
    const {auth} = await begin('control-plane', controlPlaneConfig(directory, proxy, await freePort()))
    if (!auth) throw new Error('the configuration enables the Auth Service')
    const admin = await adminClient(auth.adminIdentity, auth.address, auth.cluster)
    try {
      onProgress('Starting PostgreSQL')
      const postgres = await seededPostgres(options, admin)
      running.push(postgres)

      onProgress('Starting the database agent')
      const {token} = await admin.addToken({roles: ['Db']})
      const [caPin = ''] = auth.caPins()
      await begin('agent', agentConfig({directory, proxy, caPin, postgres}), new Secret(token))

      onProgress(`Creating the user ${quickstartUser}`)
      const password = await createUser(admin)
      await served(admin)
      return {
        proxy,
        caPin,
        user: quickstartUser,
        password,
        database: quickstartDatabase,
        configFile: join(directory, 'control-plane', 'postern.yaml'),
        stop,
      }
    } finally {
      await admin.close()
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function adminClient(
  identityFile: string,
  address: {host: string; port: number},
  name: string,
): Promise<ApiClient> {
  const identity = await readIdentityFile(identityFile)
  return new ApiClient({
    ...address,
    serverName: authServerName(name),
    authorities: identity.hostAuthorities,
    credentials: () => identity.credentials,
  })
}

/** A server whose certificate the cluster signs, and that trusts the agents' certificates. */
async function seededPostgres({directory, logger}: QuickstartOptions, admin: ApiClient): Promise<PostgresServer> {
  const keys = await generateKeys()
  const {certificate, clientAuthorities} = await admin.databaseServerCertificate({
    publicKey: keys.publicKey,
    hosts: ['127.0.0.1', 'localhost'],
  })
  const postgres = await startPostgres({
    directory: join(directory, 'postgres'),
    tls: {certificate, privateKey: keys.privateKey, clientAuthorities: clientAuthorities.join('')},
    logger,
  })
  try {
    await postgres.execute(seed)
    return postgres
  } catch (error) {
    await postgres.stop()
    throw error
  }
}

async function createUser(admin: ApiClient): Promise<Secret> {
  for (const resource of parseDocuments(role)) await admin.createResource(resource)
  const invite = await admin.addUser({name: quickstartUser, roles: ['access', 'db'], traits: {}})
  const password = new Secret(randomBytes(18).toString('base64url'))
  const token = new URL(invite.url).pathname.split('/').at(-1) ?? ''
  await admin.acceptInvite({token, password: password.reveal()})
  return password
}

/** The agent has announced its database: what a user asks for next is there. */
async function served(admin: ApiClient): Promise<void> {
  for (let attempt = 0; attempt < servedAttempts; attempt += 1) {
    const {items} = await admin.listResources('db_server')
    if (items.length > 0) return
    await sleep(servedInterval)
  }
  throw new PosternError('UNREACHABLE', 'The database agent did not announce its database in time.')
}

/** A port that is free now; in this loopback try-out the moment until it is used does not matter. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const {port} = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function controlPlaneConfig(directory: string, proxy: string, authPort: number): string {
  return `version: v3
postern:
  nodename: control-plane
  data_dir: ${JSON.stringify(join(directory, 'control-plane', 'data'))}
auth_service:
  enabled: yes
  listen_addr: 127.0.0.1:${authPort}
  cluster_name: ${cluster}
proxy_service:
  enabled: yes
  web_listen_addr: ${proxy}
  public_addr: ${proxy}
db_service:
  enabled: no
`
}

interface AgentPlace {
  readonly directory: string
  readonly proxy: string
  readonly caPin: string
  readonly postgres: PostgresServer
}

function agentConfig({directory, proxy, caPin, postgres}: AgentPlace): string {
  return `version: v3
postern:
  nodename: agent
  data_dir: ${JSON.stringify(join(directory, 'agent', 'data'))}
  proxy_server: ${proxy}
  ca_pin: ${caPin}
auth_service:
  enabled: no
proxy_service:
  enabled: no
db_service:
  enabled: yes
  databases:
  - name: ${quickstartDatabase}
    description: A small shop
    protocol: postgres
    uri: ${postgres.host}:${postgres.port}
    static_labels:
      env: dev
`
}
