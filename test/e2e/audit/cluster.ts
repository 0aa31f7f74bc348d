import {randomUUID} from 'node:crypto'
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {TLSSocket} from 'node:tls'
import {ApiClient} from '../../../src/lib/api/client.js'
import {contactCluster} from '../../../src/lib/api/contact.js'
import {startLoopbackCluster, type LoopbackCluster} from '../../../src/lib/cluster/loopback-cluster.js'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {startCluster} from '../../../src/lib/cluster/start.js'
import {parseConfig} from '../../../src/lib/config/file.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import type {Credentials} from '../../../src/lib/pki/credentials.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'
import {agentServerName} from '../../../src/lib/resources/route.js'
import {greetingProtocol} from '../../../src/lib/tunnel/greeting.js'
import {patience} from '../../helpers/patience.js'
import {startTestPostgres} from '../../helpers/postgres.js'
import {dialTls, greet, MessageReader, startup, until} from '../../lib/agent/rig.js'

export const clusterName = 'postern.example.com'
export const database = 'orders'
const settings = {version: '0.1.0', logger: silentLogger, clock: systemClock}

export type Event = Readonly<Record<string, unknown>>

export interface Session {
  readonly socket: TLSSocket
  readonly reader: MessageReader
}

/** Control plane, proxy, agent and PostgreSQL, all real and in this process but the last. */
export interface OneProcessCluster {
  readonly admin: ApiClient
  readonly postgres: PostgresServer
  /** A client with these credentials, or with none. */
  readonly clientOf: (credentials?: Credentials) => ApiClient
  /** The first bytes of a session are on their way when this resolves. */
  readonly connect: (user: ApiClient, dbUser?: string, application?: string) => Promise<Session>
  /** Every event of the log, oldest first. */
  events(): Promise<Event[]>
  /** Every record of a session. */
  recording(sid: string): Promise<Event[]>
  stop(): Promise<void>
}

export async function startOneProcessCluster(): Promise<OneProcessCluster> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-audit-'))
  const cleanups: (() => Promise<unknown>)[] = [() => rm(directory, {recursive: true, force: true, maxRetries: 10})]
  const stop = async (): Promise<void> => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  }
  try {
    const plane = await startLoopbackCluster({...settings, directory, clusterName})
    cleanups.push(() => plane.stop())
    const {admin, caPin} = plane
    const [host = '', port] = plane.proxy.split(':')
    const {endpoint} = await contactCluster(host, Number(port), {pins: [caPin]})
    const postgres = await startServer(admin)
    cleanups.push(() => postgres.stop())
    const agent = await startDatabaseAgent(plane, directory, postgres.port)
    cleanups.push(() => agent.stop(0))
    const clientOf = (credentials?: Credentials): ApiClient => {
      const client = new ApiClient({...endpoint, ...(credentials && {credentials: () => credentials})}, patience)
      cleanups.push(() => client.close())
      return client
    }
    return {
      admin,
      postgres,
      clientOf,
      connect: async (user, dbUser = 'alice', application = randomUUID()) => {
        const {publicKey, privateKey} = await generateKeys()
        const {certificate, agents} = await user.databaseCertificate({publicKey, database, dbUser, dbName: 'postgres'})
        const socket = await dialTls({
          ...{host, port: Number(port), servername: agentServerName(agents[0]?.hostId ?? '', clusterName)},
          ca: endpoint.authorities === 'unverified' ? [] : [...endpoint.authorities],
          minVersion: 'TLSv1.3',
          ALPNProtocols: [greetingProtocol],
          ...{cert: certificate, key: privateKey.reveal()},
        })
        await greet(socket)
        socket.write(startup({user: dbUser, application_name: application}))
        return {socket, reader: new MessageReader(socket)}
      },
      events: async () => {
        const events: Event[] = []
        for (let cursor: string | undefined = '0'; cursor !== undefined;) {
          const page = await admin.events({limit: 1000, cursor})
          events.push(...page.events)
          cursor = page.cursor
        }
        return events
      },
      recording: async (sid) => {
        const chunks: Buffer[] = []
        for await (const chunk of await admin.recording(sid, new AbortController().signal)) chunks.push(chunk)
        const lines = Buffer.concat(chunks).toString().trimEnd().split('\n')
        return lines.map((line) => JSON.parse(line) as Event).filter(({event}) => event !== undefined)
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function startServer(admin: ApiClient): Promise<PostgresServer> {
  const {publicKey, privateKey} = await generateKeys()
  const {certificate, clientAuthorities} = await admin.databaseServerCertificate({publicKey, hosts: ['127.0.0.1']})
  const postgres = await startTestPostgres({
    tls: {certificate, privateKey, clientAuthorities: clientAuthorities.join('\n')},
  })
  await postgres.execute(`
    CREATE ROLE alice LOGIN; CREATE TABLE products (id int, name text, price numeric(8, 2));
    INSERT INTO products VALUES (1, 'Laptop', 1200.00), (2, 'Monitor', 310.00); GRANT SELECT ON products TO alice`)
  return postgres
}

async function startDatabaseAgent(
  {admin, proxy, caPin}: LoopbackCluster,
  directory: string,
  postgresPort: number,
): ReturnType<typeof startCluster> {
  const {token} = await admin.addToken({roles: ['Db']})
  const text = `version: v3
postern: {nodename: db-host, data_dir: '${directory}/agent', proxy_server: '${proxy}', auth_token: '${token}', ca_pin: '${caPin}'}
auth_service: {enabled: no}
proxy_service: {enabled: no}
db_service:
  enabled: yes
  databases:
  - {name: ${database}, protocol: postgres, uri: '127.0.0.1:${postgresPort}', static_labels: {env: dev}}
`
  const agent = await startCluster({...settings, config: parseConfig(text, {name: 'agent.yaml'})})
  await until(() => agent.agent?.ready() ?? false, 'the agent is ready')
  return agent
}
