import {appendFile, chmod, readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {startPostgres, type PostgresServer} from '../../src/lib/cluster/postgres.js'
import {createAuthority, issueCertificate} from '../../src/lib/pki/issuing.js'
import {generateKeys} from '../../src/lib/pki/keys.js'
import type {Endpoint} from './endpoint.js'
import {clientEnvironment} from './endpoint.js'
import {run} from './programs.js'

export interface Sizes {
  /** Rows of 1 KiB as COPY writes them. */
  readonly wideRows: number
  readonly smallRows: number
  /** Rows that COPY reads, 1 KiB each. */
  readonly inputRows: number
}

export const fullSizes: Sizes = {wideRows: 1_000_000, smallRows: 1_000_000, inputRows: 500_000}
export const quickSizes: Sizes = {wideRows: 100_000, smallRows: 200_000, inputRows: 50_000}

/** Bytes of a row of `wide`, its newline included. */
export const wideRowBytes = 1024
/** pgbench's unit: 100,000 accounts each. */
const scale = 10

/** A PostgreSQL server with the tables that the workloads read. */
export interface BenchDatabase {
  readonly port: number
  /** Its first process. */
  readonly pid: number
  readonly sizes: Sizes
  /** Bytes of the messages that SELECT of all small rows brings. */
  readonly smallBytes: number
  readonly inputFile: string
  /** Certificate and key for localhost, and who signed it: files. */
  readonly tls: {readonly certificate: string; readonly key: string; readonly authority: string}
  /** Straight to the server, TLS verified, no password: nothing can be faster and still encrypted. */
  readonly direct: Endpoint
  /** Takes agents whose certificates these authorities signed, for the user `alice`. */
  trust(authorities: string): Promise<void>
  /** Empties the table that COPY fills. */
  empty(): Promise<void>
  stop(): Promise<void>
}

const hbaLines = [
  'hostssl all alice 127.0.0.1/32 cert',
  // A role of the benchmark's own tables only: peers sign in without any exchange, which is the most they can do.
  'host all peer 127.0.0.1/32 trust',
]

const settings = {
  max_connections: 500,
  shared_buffers: '256MB',
  autovacuum: 'off',
  max_wal_size: '4GB',
  jit: 'off',
}

export async function startDatabase(directory: string, sizes: Sizes): Promise<BenchDatabase> {
  const tls = await makeCertificate(directory)
  const postgres = await startPostgres({
    directory: join(directory, 'postgres'),
    durable: false,
    hbaLines,
    settings,
    tls: {certificate: tls.certificateText, privateKey: tls.keys.privateKey, clientAuthorities: tls.authorityText},
  })
  try {
    await postgres.execute(tables(sizes))
    await postgres.execute('VACUUM (ANALYZE, FREEZE)')
    return await describe(postgres, {directory, sizes, tls})
  } catch (error) {
    await postgres.stop()
    throw error
  }
}

async function makeCertificate(directory: string) {
  const now = Date.now()
  const authority = await createAuthority({cluster: 'bench', type: 'db', now})
  const keys = await generateKeys()
  const certificateText = await issueCertificate({
    authority,
    publicKey: keys.publicKey,
    commonName: 'localhost',
    hosts: ['127.0.0.1', 'localhost'],
    purposes: ['server'],
    notBefore: now - 3_600_000,
    notAfter: now + 7 * 86_400_000,
  })
  const files = {
    certificate: join(directory, 'server.crt'),
    key: join(directory, 'server.key'),
    authority: join(directory, 'authority.crt'),
  }
  await writeFile(files.certificate, certificateText)
  await writeFile(files.key, keys.privateKey.reveal(), {mode: 0o600})
  await writeFile(files.authority, authority.certificate)
  return {files, certificateText, authorityText: authority.certificate, keys}
}

const tables = ({wideRows, smallRows}: Sizes): string => `
CREATE ROLE alice LOGIN;
CREATE ROLE peer LOGIN;
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
INSERT INTO pgbench_branches SELECT n, 0 FROM generate_series(1, ${scale}) n;
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84)) WITH (fillfactor = 100);
INSERT INTO pgbench_accounts SELECT n, (n - 1) / 100000 + 1, 0, '' FROM generate_series(1, ${scale * 100_000}) n;
CREATE TABLE wide (line text);
INSERT INTO wide SELECT lpad(n::text, ${wideRowBytes - 1}, '0123456789abcdef') FROM generate_series(1, ${wideRows}) n;
CREATE TABLE small (a int, b int, c text);
INSERT INTO small SELECT n, n * 7 % 1000, 'item ' || n FROM generate_series(1, ${smallRows}) n;
CREATE UNLOGGED TABLE sink (line text);
GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;
GRANT INSERT ON sink TO PUBLIC;`

interface Made {
  readonly directory: string
  readonly sizes: Sizes
  readonly tls: Awaited<ReturnType<typeof makeCertificate>>
}

async function describe(postgres: PostgresServer, {directory, sizes, tls}: Made): Promise<BenchDatabase> {
  const {port} = postgres
  const ask = async (sql: string): Promise<string> => {
    const [row] = await postgres.execute(sql)
    return String(Object.values(row ?? {})[0])
  }
  const direct: Endpoint = {
    host: '127.0.0.1',
    port,
    user: 'peer',
    database: 'postgres',
    authority: tls.files.authority,
  }
  const inputFile = join(directory, 'input.copy')
  const select = `COPY (SELECT line FROM wide LIMIT ${sizes.inputRows}) TO STDOUT`
  await run('psql', ['-X', '-q', '-c', select], {environment: clientEnvironment(direct), to: inputFile})
  const pidFile = join(await ask('SHOW data_directory'), 'postmaster.pid')
  // DataRow: type, length, number of fields, and a length before each (PostgreSQL documentation, "Message Formats").
  const rowBytes = 'SELECT sum(7 + 3 * 4 + length(a::text) + length(b::text) + length(c)) FROM small'
  const authoritiesFile = await ask('SHOW ssl_ca_file')
  return {
    port,
    pid: Number((await readFile(pidFile, 'utf8')).split('\n')[0]),
    sizes,
    smallBytes: Number(await ask(rowBytes)),
    inputFile,
    tls: tls.files,
    direct,
    trust: async (authorities) => {
      await appendFile(authoritiesFile, `\n${authorities}`)
      await chmod(authoritiesFile, 0o600)
      await postgres.execute('SELECT pg_reload_conf()')
    },
    empty: async () => {
      await postgres.execute('TRUNCATE sink')
    },
    stop: () => postgres.stop(),
  }
}
