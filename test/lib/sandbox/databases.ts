import {execFile} from 'node:child_process'
import {once} from 'node:events'
import {connect, type Socket} from 'node:net'
import {connect as connectTls, type TLSSocket} from 'node:tls'
import {promisify} from 'node:util'
import pg from 'pg'
import {Signer} from '@aws-sdk/rds-signer'
import type {RealPostgres} from '../../../src/lib/sandbox/real-postgres.js'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {requestTls} from '../../../src/lib/pgwire/tls-request.js'
import {startTestPostgres} from '../../helpers/postgres.js'
import {region, type Credentials, type Rig} from './rig.js'

/** Lets in everybody who comes over TCP: what stands in front of it is the guard. */
export const startOpenPostgres = (): Promise<PostgresServer> =>
  startTestPostgres({hbaLines: ['host all all 127.0.0.1/32 trust'], settings: {password_encryption: 'scram-sha-256'}})

export function realPostgres(server: PostgresServer): RealPostgres {
  return {
    execute: (sql) => server.execute(sql),
    connectAs: () =>
      new Promise<Socket>((resolve, reject) => {
        const socket = connect(server.port, server.host, () => {
          resolve(socket)
        }).on('error', reject)
      }),
  }
}

type Kind = keyof Rig['sandbox']['authorities']

export interface Visit {
  /** `endpoint:port` */
  readonly endpoint: string
  readonly kind: Kind
  readonly user: string
  readonly password: string
  /** Default `postgres`. */
  readonly database?: string
  /** Default true. */
  readonly tls?: boolean
}

export function addressOf(rig: Rig, endpoint: string): {host: string; port: number} {
  const [host = '', port] = (rig.sandbox.resolve.get(endpoint) ?? '').split(':')
  return {host, port: Number(port)}
}

const nameOf = (endpoint: string): string => endpoint.replace(/:\d+$/, '')

/** Runs SQL as node-postgres does, the server's certificate checked for the endpoint's name; the rows. */
export async function query(rig: Rig, visit: Visit, sql: string): Promise<unknown[]> {
  const {user, password, database = 'postgres', tls = true} = visit
  const ssl = tls && {ca: rig.sandbox.authorities[visit.kind].certificate, servername: nameOf(visit.endpoint)}
  const client = new pg.Client({...addressOf(rig, visit.endpoint), user, password, database, ssl})
  client.on('error', () => undefined)
  try {
    await client.connect()
    return (await client.query(sql)).rows as unknown[]
  } finally {
    await client.end()
  }
}

/** A connection to the endpoint after its TLS handshake. */
export async function openTls(rig: Rig, {endpoint, kind}: Pick<Visit, 'endpoint' | 'kind'>): Promise<TLSSocket> {
  const {host, port} = addressOf(rig, endpoint)
  const socket = connect(port, host)
  await requestTls(socket, {timeout: 60_000})
  const secure = connectTls({socket, ca: rig.sandbox.authorities[kind].certificate, servername: nameOf(endpoint)})
  await once(secure, 'secureConnect')
  return secure.on('error', () => undefined)
}

/** All that the endpoint answers to one packet. */
export async function answerTo(rig: Rig, visit: Pick<Visit, 'endpoint' | 'kind'>, packet: Buffer): Promise<string> {
  const socket = await openTls(rig, visit)
  socket.write(packet)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('latin1')
}

const run = promisify(execFile)

/** Runs SQL with the real psql and verify-full, and gives what it prints. */
export async function psql(rig: Rig, visit: Visit, sql: string): Promise<string> {
  const {endpoint, user, password, database = 'postgres', kind} = visit
  const {host, port} = addressOf(rig, endpoint)
  const env = {
    PATH: process.env.PATH,
    PGHOST: nameOf(endpoint),
    PGHOSTADDR: host,
    PGPORT: String(port),
    PGUSER: user,
    PGDATABASE: database,
    PGPASSWORD: password,
    PGSSLMODE: 'verify-full',
    PGSSLROOTCERT: rig.sandbox.authorities[kind].path,
    PGCONNECT_TIMEOUT: '120',
  }
  const {stdout} = await run('psql', ['--no-psqlrc', '--tuples-only', '--no-align', '--command', sql], {env})
  return stdout.trim()
}

/** SQLSTATE and text of the server's refusal. */
export async function refusalOf(promise: Promise<unknown>): Promise<{code: string | undefined; message: string}> {
  try {
    await promise
  } catch (error) {
    const {code, message} = error as Error & {readonly code?: string}
    return {code, message}
  }
  throw new Error('nothing was refused')
}

export interface TokenDetails {
  readonly endpoint: string
  readonly user: string
  readonly credentials: Credentials
  readonly region?: string
}

/** An IAM token as the SDK makes it. */
export function tokenFor({endpoint, user, credentials, region: signedFor = region}: TokenDetails): Promise<string> {
  const [hostname = '', port] = endpoint.split(':')
  return new Signer({hostname, port: Number(port), username: user, region: signedFor, credentials}).getAuthToken()
}
