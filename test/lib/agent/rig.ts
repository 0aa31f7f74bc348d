import {randomUUID} from 'node:crypto'
import {mkdtemp, rm} from 'node:fs/promises'
import type {Socket} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {connect as tlsConnect, type ConnectionOptions, type TLSSocket} from 'node:tls'
import {startAgent} from '../../../src/lib/agent/agent.js'
import type {Agent, AgentOptions} from '../../../src/lib/agent/options.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import type {PostgresOptions, PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {encodeStartup} from '../../../src/lib/pgwire/first-packet.js'
import {decodeServerError, type ServerError} from '../../../src/lib/pgwire/server-error.js'
import type {Credentials} from '../../../src/lib/pki/credentials.js'
import type {Identity, UserIdentity} from '../../../src/lib/pki/identity.js'
import {issueCertificate, type Authority, type LeafRequest} from '../../../src/lib/pki/issuing.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'
import type {Proxy, ProxyOptions} from '../../../src/lib/proxy/options.js'
import {startProxy} from '../../../src/lib/proxy/proxy.js'
import type {Database} from '../../../src/lib/resources/database.js'
import type {Role} from '../../../src/lib/resources/role.js'
import {agentServerName, databaseServerName, tunnelServerName} from '../../../src/lib/resources/route.js'
import {greetingProtocol, readGreeting, stillOpening, type Greeting} from '../../../src/lib/tunnel/greeting.js'
import {proxyPatience} from '../../helpers/patience.js'
import {startTestPostgres} from '../../helpers/postgres.js'
import {cluster, minute, Plane} from './plane.js'

export const database = 'example'
/** So long an agent trusts what it knows of the cluster. */
export const cacheTtl = 5 * minute

/** A control plane that can be told to misbehave, a real proxy, a real agent; the database is the test's business. */
export interface Rig {
  readonly plane: Plane
  readonly proxy: Proxy
  readonly agent: Agent
  readonly hostId: string
  readonly directory: string
  /** A database certificate for alice, with changes; the agent knows by then what the control plane has been told. */
  guest(changes?: Partial<UserIdentity>, leaf?: Partial<LeafRequest>): Promise<Credentials>
  /** TLS to the agent through the proxy, its greeting not read. */
  dial(credentials: Credentials | undefined, options?: ConnectionOptions): Promise<TLSSocket>
  /** The same over the route of the database. */
  dialDirect(credentials: Credentials | undefined, options?: ConnectionOptions): Promise<TLSSocket>
  stop(): Promise<void>
}

export interface RigOptions {
  readonly plane?: Plane
  readonly uri: string
  readonly labels?: Readonly<Record<string, string>>
  readonly agent?: Partial<AgentOptions>
  readonly proxy?: Partial<ProxyOptions>
}

export function databaseResource(name: string, uri: string, changes: Partial<Database['spec']> = {}): Database {
  return {
    kind: 'db',
    version: 'v3',
    metadata: {name, labels: {env: 'dev'}},
    spec: {protocol: 'postgres', uri, ...changes},
  }
}

export function role(name: string, allow: NonNullable<Role['spec']['allow']>): Role {
  return {kind: 'role', version: 'v7', metadata: {name}, spec: {allow}}
}

/** Everything that alice of the tests may do. */
export const accessRole = role('access', {db_labels: {'*': ['*']}, db_users: ['alice'], db_names: ['*']})

export async function issueLeaf(
  authority: Authority,
  identity: Identity | undefined,
  changes: Partial<LeafRequest> = {},
): Promise<Credentials> {
  const keys = await generateKeys()
  const certificate = await issueCertificate({
    authority,
    publicKey: keys.publicKey,
    commonName: 'alice',
    purposes: ['client'],
    notBefore: Date.now() - 5 * minute,
    notAfter: Date.now() + 30 * minute,
    ...(identity ? {identity} : {}),
    ...changes,
  })
  return {certificate, privateKey: keys.privateKey}
}

export function guestIdentity(changes: Partial<UserIdentity> = {}): UserIdentity {
  return {
    kind: 'user',
    usage: 'db',
    user: 'alice',
    roles: ['access'],
    traits: {},
    route: {database, protocol: 'postgres', dbUser: 'alice', dbName: 'postgres', dbRoles: []},
    loginExpires: new Date(Date.now() + 60 * minute).toISOString(),
    ...changes,
  }
}

export async function startRig(options: RigOptions): Promise<Rig> {
  const plane = options.plane ?? (await Plane.create())
  plane.put({kind: 'role', name: 'access', item: accessRole})
  plane.put({kind: 'user', name: 'alice', item: {name: 'alice', roles: ['access']}})
  const directory = await mkdtemp(join(tmpdir(), 'postern-agent-'))
  const hostId = randomUUID()
  const hostCredentials = (systemRole: 'Db' | 'Proxy', name: string): Promise<Credentials> =>
    issueLeaf(
      plane.host,
      {kind: 'host', hostId: systemRole === 'Db' ? hostId : randomUUID(), systemRoles: [systemRole]},
      {purposes: ['client', 'server'], hosts: [name]},
    )
  const [own, proxyOwn] = await Promise.all([
    hostCredentials('Db', agentServerName(hostId, cluster)),
    hostCredentials('Proxy', tunnelServerName(cluster)),
  ])
  const proxy = await startProxy({
    cluster,
    listen: {host: '127.0.0.1', port: 0},
    proxyId: 'p1',
    credentials: () => proxyOwn,
    hostAuthorities: () => [plane.host.certificate],
    upstream: {
      kind: 'local',
      accept: (socket: Socket) => {
        socket.destroy()
      },
    },
    agentsFor: () => [hostId],
    logger: silentLogger,
    clock: systemClock,
    ...options.proxy,
    timing: {...proxyPatience, ...options.proxy?.timing},
  })
  const agent = await startAgent({
    cluster,
    hostId,
    hostname: 'db-host',
    version: '0.1.0',
    credentials: () => own,
    hostAuthorities: () => [plane.host.certificate],
    api: plane.api,
    proxyAddress: proxy.address,
    databases: [databaseResource(database, options.uri)],
    selectors: [],
    dataDir: directory,
    logger: silentLogger,
    clock: systemClock,
    // A machine that is held up for long makes no agent distrust what it knows.
    cacheTtlMilliseconds: cacheTtl,
    ...options.agent,
  })
  await until(() => agent.ready(), 'the agent is ready')

  const dialAs = (servername: string, protocols: string[], credentials?: Credentials, more?: ConnectionOptions) =>
    dialTls({
      ...proxy.address,
      servername,
      ca: [plane.host.certificate],
      minVersion: 'TLSv1.3',
      ALPNProtocols: protocols,
      ...(credentials && {cert: credentials.certificate, key: credentials.privateKey.reveal()}),
      ...more,
    })
  return {
    plane,
    proxy,
    agent,
    hostId,
    directory,
    guest: async (changes, leaf) => {
      await until(() => plane.heard(), 'the agent knows everything')
      return issueLeaf(plane.user, guestIdentity(changes), leaf)
    },
    dial: (credentials, more) => dialAs(agentServerName(hostId, cluster), [greetingProtocol], credentials, more),
    dialDirect: (credentials, more) => dialAs(databaseServerName(database, cluster), ['postgresql'], credentials, more),
    stop: async () => {
      await agent.close()
      await proxy.close()
      await rm(directory, {recursive: true, force: true})
    },
  }
}

/** TLS, finished; the socket has an error listener. */
export function dialTls(options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect(options)
    socket.setNoDelay(true)
    socket.once('error', reject)
    socket.once('close', () => {
      reject(new Error('the connection was closed during the handshake'))
    })
    socket.once('secureConnect', () => {
      socket.off('error', reject).on('error', () => undefined)
      resolve(socket)
    })
  })
}

export function greet(socket: TLSSocket): Promise<Greeting> {
  return readGreeting(socket, 120_000)
}

export interface Message {
  readonly type: string
  readonly payload: Buffer
}

/** Reads a server's messages from a socket, one at a time. */
export class MessageReader {
  #buffer = Buffer.alloc(0)
  #begun = false
  #ended = false
  #wake: () => void = () => undefined

  constructor(socket: TLSSocket) {
    socket.on('data', (chunk: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk])
      this.#wake()
    })
    socket.on('close', () => {
      this.#ended = true
      this.#wake()
    })
    if (socket.destroyed) this.#ended = true
  }

  /** Leaves out bytes that are no message, such as the answer to a GSSENCRequest. */
  skip(bytes: number): void {
    this.#buffer = this.#buffer.subarray(bytes)
  }

  /** The next message; undefined when the connection is closed. */
  async next(): Promise<Message | undefined> {
    for (;;) {
      const size = this.#buffer.length >= 5 ? 1 + this.#buffer.readUInt32BE(1) : Infinity
      if (this.#buffer.length >= size) {
        const message = {type: String.fromCharCode(this.#buffer[0] ?? 0), payload: this.#buffer.subarray(5, size)}
        this.#buffer = this.#buffer.subarray(size)
        // On a slow machine the agent says first that it is still opening the session, perhaps more than once.
        if (!this.#begun && message.type === '+' && size === stillOpening.length) continue
        this.#begun = true
        return message
      }
      if (this.#ended) return undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Messages up to and with one of this type, or up to the end. */
  async until(type: string): Promise<Message[]> {
    const messages: Message[] = []
    for (let message = await this.next(); message; message = await this.next()) {
      messages.push(message)
      if (message.type === type) break
    }
    return messages
  }

  /** The error that the connection ends with. */
  async error(): Promise<ServerError | undefined> {
    const error = (await this.until('E')).at(-1)
    return error?.type === 'E' ? decodeServerError({payload: error.payload, size: error.payload.length}) : undefined
  }
}

export function startup(parameters: Readonly<Record<string, string>> = {}, minor = 0): Buffer {
  return encodeStartup(minor, new Map(Object.entries({user: 'alice', database: 'postgres', ...parameters})))
}

/** A session on the agent route, ready for queries. */
export async function openSession(
  rig: Rig,
  credentials: Credentials,
  parameters?: Readonly<Record<string, string>>,
  minor?: number,
): Promise<{socket: TLSSocket; reader: MessageReader; opening: Message[]}> {
  const socket = await rig.dial(credentials)
  const greeting = await greet(socket)
  if (!greeting.ok) throw new Error(greeting.message)
  const reader = new MessageReader(socket)
  socket.write(startup(parameters, minor))
  const opening = await reader.until('Z')
  return {socket, reader, opening}
}

/** The refusal that a client gets after its startup message on the agent route. */
export async function refusal(
  rig: Rig,
  credentials: Credentials,
  parameters?: Readonly<Record<string, string>>,
): Promise<ServerError | undefined> {
  const socket = await rig.dial(credentials)
  const greeting = await greet(socket)
  if (!greeting.ok) throw new Error(greeting.message)
  const reader = new MessageReader(socket)
  socket.write(startup(parameters))
  return reader.error()
}

/** The events of the newest session with this application name, when its end has arrived. */
export async function sessionEvents(plane: Plane, application: string): Promise<Readonly<Record<string, unknown>>[]> {
  const sid = (): unknown => plane.events.findLast((event) => event.user_agent === application)?.sid
  const ended = (): boolean => sid() !== undefined && plane.eventsOf(sid()).some(({code}) => code === 'TDB01I')
  await until(ended, 'the session ended')
  return plane.eventsOf(sid())
}

/** Waits for something to become true, nearly as long as a test may take. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + 170_000
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** A certificate and key for a PostgreSQL server. */
export async function serverCertificate(plane: Plane, hosts: readonly string[] = ['127.0.0.1']): Promise<Credentials> {
  return issueLeaf(plane.db, undefined, {purposes: ['server'], hosts, commonName: 'server'})
}

/** A PostgreSQL that lets the agents of this control plane in, as whoever they name; `sql` makes what they find there. */
export async function startPostgresFor(
  plane: Plane,
  sql: string,
  settings?: PostgresOptions['settings'],
): Promise<PostgresServer> {
  const server = await serverCertificate(plane)
  const tls = {...server, clientAuthorities: plane.dbClient.certificate}
  const postgres = await startTestPostgres({tls, settings})
  await postgres.execute(sql)
  return postgres
}
