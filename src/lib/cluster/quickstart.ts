/** The Aurora guide from end to end on loopback, without an AWS account: for trying things out. */
import {randomBytes} from 'node:crypto'
import {mkdir, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import type {ApiClient} from '../api/client.js'
import {parseConfig} from '../config/file.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {Secret} from '../core/secret.js'
import {parseDocuments} from '../resources/document.js'
import {guideRole} from '../resources/guide-role.js'
import {startGuideSandbox, type GuideSandbox} from './guide-sandbox.js'
import {startLoopbackCluster, type LoopbackCluster} from './loopback-cluster.js'
import {startCluster} from './start.js'

const user = 'alice'
const servedAttempts = 200
/** Milliseconds. */
const servedInterval = 50

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
  /** The logical database. */
  readonly databaseName: string
  /** Where administrators' commands find the cluster: the configuration of its Auth Service. */
  readonly configFile: string
  stop(): Promise<void>
}

/**
 * Starts a sandbox AWS with an Aurora database, a control plane and a proxy, an agent with AWS credentials, and makes a user.
 * @throws PosternError; what was started is stopped again
 */
export async function startQuickstart(options: QuickstartOptions): Promise<Quickstart> {
  const {onProgress} = options
  const running: {stop(): Promise<void>}[] = []
  const stop = async (): Promise<void> => {
    for (const part of running.splice(0).reverse()) await part.stop()
  }
  const keep = <Part extends {stop(): Promise<void>}>(part: Part): Part => {
    running.push(part)
    return part
  }
  try {
    onProgress('Starting PostgreSQL, as Aurora in a sandbox AWS, and a control plane with a proxy')
    const sandboxStart = startGuideSandbox({...options, guide: 'aurora'}).then(keep)
    const clusterStart = startLoopbackCluster({...options, clusterName: 'quickstart'}).then(keep)
    // Both have ended, one way or the other, before anything is stopped again.
    await Promise.allSettled([sandboxStart, clusterStart])
    const [sandbox, cluster] = await Promise.all([sandboxStart, clusterStart])
    onProgress('Starting the database agent')
    keep(await startQuickstartAgent(options, cluster, sandbox))

    onProgress(`Creating the user ${user}`)
    const password = await createUser(cluster.admin)
    await served(cluster.admin)
    const {proxy, caPin, configFile} = cluster
    const {database, databaseName} = sandbox.guide
    return {proxy, caPin, user, password, database, databaseName, configFile, stop}
  } catch (error) {
    await stop()
    throw error
  }
}

async function startQuickstartAgent(
  {directory, version, logger, clock}: QuickstartOptions,
  {admin, proxy, caPin}: LoopbackCluster,
  {guide, environment}: GuideSandbox,
): Promise<{stop(): Promise<void>}> {
  const home = join(directory, 'agent')
  const file = join(home, 'postern.yaml')
  const text = `version: v3
postern:
  nodename: agent
  data_dir: ${JSON.stringify(join(home, 'data'))}
  proxy_server: ${proxy}
  ca_pin: ${caPin}
auth_service:
  enabled: no
proxy_service:
  enabled: no
db_service:
  enabled: yes
  databases:
  - name: ${guide.database}
    description: A small shop
    protocol: postgres
    uri: ${guide.uri}
    static_labels:
      env: dev
`
  await mkdir(home, {recursive: true, mode: 0o700})
  await writeFile(file, text, {mode: 0o600})
  const {token} = await admin.addToken({roles: ['Db']})
  const config = parseConfig(text, {name: file})
  const service = await startCluster({config, version, token: new Secret(token), environment, logger, clock})
  return {stop: () => service.stop(0)}
}

async function createUser(admin: ApiClient): Promise<Secret> {
  for (const resource of parseDocuments(guideRole)) await admin.createResource(resource)
  const invite = await admin.addUser({name: user, roles: ['access', 'db'], traits: {}})
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
