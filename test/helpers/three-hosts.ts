import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {Secret} from '../../src/lib/core/secret.js'
import type {PostgresServer} from '../../src/lib/cluster/postgres.js'
import {cli, freePort, startService, type Service} from './cli.js'
import {startTestPostgres} from './postgres.js'
import {waitFor} from './psql.js'

export {guideRole} from '../../src/lib/resources/guide-role.js'

export interface ThreeHosts {
  readonly directory: string
  /** Where clients and agents reach the proxy, `host:port`. */
  readonly proxy: string
  readonly caPin: string
  /** For administrators' commands on the control plane. */
  readonly admin: readonly string[]
  readonly postgres: PostgresServer
  readonly services: {readonly auth: Service; readonly proxy: Service; readonly agent: Service}
  /** One more agent of the same database, on a host of its own. */
  readonly startAgent: (name: string) => Promise<Service>
  /** The environment of a person with a home of their own. */
  readonly person: (name: string) => NodeJS.ProcessEnv
  readonly stop: () => Promise<void>
}

export interface HostsOptions {
  /** Between clients or agents and the proxy: takes the proxy's port, gives the port that is announced. */
  readonly beforeProxy?: (proxyPort: number) => Promise<number>
  /** Between the proxy and the Auth Service. */
  readonly beforeAuth?: (authPort: number) => Promise<number>
  /** Changes the configuration of agents. */
  readonly agentConfiguration?: (text: string) => string
  /** For `postern start`. */
  readonly flags?: readonly string[]
  /** Worker processes of the proxy, and of each agent. */
  readonly workers?: number
  /** Sessions that PostgreSQL takes; its own 100 unless told. */
  readonly maxConnections?: number
  /** Address of the first agent's metrics. */
  readonly agentDiagnostics?: string
}

/** Control plane, proxy and agent as three processes with three configuration files, and a PostgreSQL that trusts the agent. */
export async function startThreeHosts({
  beforeProxy,
  beforeAuth,
  agentConfiguration = (text) => text,
  flags = ['--drain=1s'],
  workers = 1,
  maxConnections = 100,
  agentDiagnostics,
}: HostsOptions = {}): Promise<ThreeHosts> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-hosts-'))
  // A process of a service that was killed may write a moment longer.
  const cleanups: (() => Promise<unknown>)[] = [() => rm(directory, {recursive: true, force: true, maxRetries: 10})]
  const stop = async (): Promise<void> => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  }
  const start = async (words: readonly string[]): Promise<Service> => {
    const service = await startService([...words, ...flags])
    cleanups.push(() => service.stop())
    return service
  }
  try {
    const authPort = await freePort()
    const proxyPort = await freePort()
    const proxy = `127.0.0.1:${(await beforeProxy?.(proxyPort)) ?? proxyPort}`
    const configFile = join(directory, 'auth.yaml')
    await writeFile(
      configFile,
      `version: v3
postern: {data_dir: '${directory}/auth'}
auth_service: {enabled: yes, cluster_name: postern.example.com, listen_addr: '127.0.0.1:${authPort}', public_addr: '${proxy}'}
proxy_service: {enabled: no}
`,
    )
    const auth = await start(['-c', configFile])
    const admin = ['--config', configFile]
    const caPin = /sha256:[0-9a-f]{64}/.exec(await cli(['status', ...admin]))?.[0] ?? ''

    await writeFile(
      join(directory, 'proxy-token'),
      await cli(['tokens', 'add', '--type=proxy', '--format=text', ...admin]),
    )
    await writeFile(
      join(directory, 'proxy.yaml'),
      `version: v3
postern:
  data_dir: ${directory}/proxy
  auth_server: 127.0.0.1:${(await beforeAuth?.(authPort)) ?? authPort}
  auth_token: ${directory}/proxy-token
  ca_pin: ${caPin}
auth_service: {enabled: no}
proxy_service: {enabled: yes, web_listen_addr: '127.0.0.1:${proxyPort}', public_addr: '${proxy}', workers: ${workers}}
`,
    )
    const proxyService = await start(['-c', join(directory, 'proxy.yaml')])

    const server = join(directory, 'server')
    await cli(['auth', 'sign', '--format=db', '--host=127.0.0.1,localhost', `--out=${server}`, ...admin])
    const postgres = await startTestPostgres({
      settings: {max_connections: maxConnections},
      tls: {
        certificate: await readFile(`${server}.crt`, 'utf8'),
        privateKey: new Secret(await readFile(`${server}.key`, 'utf8')),
        clientAuthorities: await readFile(`${server}.cas`, 'utf8'),
      },
    })
    cleanups.push(() => postgres.stop())
    await postgres.execute(`
      CREATE ROLE alice LOGIN;
      CREATE TABLE products (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, price numeric(8, 2));
      INSERT INTO products (name, price) SELECT 'product ' || n, n FROM generate_series(1, 10) n;
      GRANT SELECT ON products TO alice;`)

    const startAgent = async (name: string, words: readonly string[] = []): Promise<Service> => {
      const tokenFile = join(directory, `${name}-token`)
      await writeFile(tokenFile, await cli(['tokens', 'add', '--type=db', '--format=text', ...admin]))
      const agentFile = join(directory, `${name}.yaml`)
      await cli([
        ...['db', 'configure', 'create', `--token=${tokenFile}`, '--name=aurora'],
        ...[`--proxy=${proxy}`, `--ca-pin=${caPin}`, '--protocol=postgres', `--uri=127.0.0.1:${postgres.port}`],
        ...['--labels=env=dev', '--output', `file://${agentFile}`],
      ])
      // On a host of its own the agent has /var/lib/postern to itself.
      const written = await readFile(agentFile, 'utf8')
      const own = written.replace('/var/lib/postern', join(directory, name))
      await writeFile(agentFile, agentConfiguration(own.replace('db_service:', `$&\n  workers: ${workers}`)))
      const agent = await start(['-c', agentFile, ...words])
      const hostId = /\bhost_id=([0-9a-f-]{36})/.exec(agent.log())?.[1] ?? 'none'
      // What it serves is known with its first heartbeat, a moment after it is ready.
      await waitFor(async () => (await cli(['get', 'db_server', ...admin])).includes(hostId) || undefined)
      return agent
    }
    const agent = await startAgent('agent', agentDiagnostics ? [`--diag-addr=${agentDiagnostics}`] : [])
    return {
      directory,
      proxy,
      caPin,
      admin,
      postgres,
      services: {auth, proxy: proxyService, agent},
      startAgent,
      person: (name) => ({POSTERN_HOME: join(directory, 'homes', name)}),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Makes a user with an invite, sets the password, and logs in as a person would. */
export async function addPerson(
  hosts: Pick<ThreeHosts, 'proxy' | 'caPin' | 'admin' | 'person'>,
  user: string,
  {password = 'correct horse battery', roles = 'access,db', flags = [] as readonly string[]} = {},
): Promise<NodeJS.ProcessEnv> {
  const environment = hosts.person(user)
  const answer = await cli(['users', 'add', `--roles=${roles}`, ...flags, user, ...hosts.admin])
  const url = /https:\/\/\S+\/web\/invite\/[0-9a-f]{32}/.exec(answer)?.[0] ?? ''
  await cli(['invite', 'accept', url, '--password-stdin', `--ca-pin=${hosts.caPin}`], {input: `${password}\n`})
  await cli(['login', `--proxy=${hosts.proxy}`, `--user=${user}`, `--ca-pin=${hosts.caPin}`, '--password-stdin'], {
    environment,
    input: `${password}\n`,
  })
  return environment
}
