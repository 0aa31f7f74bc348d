import {execFile} from 'node:child_process'
import {randomUUID} from 'node:crypto'
import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {promisify} from 'node:util'
import type {AgentOptions} from '../../../src/lib/agent/options.js'
import {parseConnectAddresses} from '../../../src/lib/config/connect-addresses.js'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import type {Database} from '../../../src/lib/resources/database.js'
import {databaseServerName} from '../../../src/lib/resources/route.js'
import type {WorldDefinition} from '../../../src/lib/sandbox/definition.js'
import type {ServiceName} from '../../../src/lib/sandbox/world.js'
import {startRig as startAgentRig, databaseResource, role, type Rig as AgentRig} from './rig.js'
import {cluster} from './plane.js'
import {realPostgres, startOpenPostgres} from '../sandbox/databases.js'
import {home, region, startRig as startSandboxRig, type Rig as SandboxRig} from '../sandbox/rig.js'

/** What the endpoints of RDS end with, port and all. */
export const rds = `abcdefghijklm.${region}.rds.amazonaws.com:5432`

/** Signing in to what has this resource id, as a resource of policies. */
export const connect = (id: string, user = '*'): string => `arn:aws:rds-db:${region}:${home}:dbuser:${id}/${user}`

/** A database of the configuration, by its endpoint. */
export interface AwsResource {
  readonly name: string
  /** `host:port`; or a function of all endpoints of the sandbox, for names that AWS makes up. */
  readonly uri: string | ((endpoints: readonly string[]) => string)
  readonly tls?: Database['spec']['tls']
  readonly aws?: Database['spec']['aws']
  /** Name of its admin user. */
  readonly admin?: string
}

export interface AwsRig {
  readonly agents: AgentRig
  readonly sandbox: SandboxRig
  readonly postgres: PostgresServer
  /** Runs SQL with the real psql through proxy and agent; what it prints. */
  psql(where: Where, sql: string): Promise<string>
  /** What psql says when it is refused. */
  refusal(where: Where): Promise<string>
  /** One more agent for the same databases, with its own proxy, that lives in another environment. */
  another(environment: Readonly<Record<string, string>>): Promise<Pick<AwsRig, 'refusal' | 'stop'>>
  stop(): Promise<void>
}

export interface Where {
  readonly database: string
  readonly dbUser: string
  readonly dbName?: string
}

const run = promisify(execFile)

/** A sandbox AWS in front of a real PostgreSQL, a real agent that serves its databases, and a real proxy. */
export async function startAwsRig(
  world: WorldDefinition,
  resources: readonly AwsResource[],
  options: {
    readonly sql?: readonly string[]
    readonly agent?: Partial<AgentOptions>
    /** Services that fail from the start. */
    readonly outages?: readonly ServiceName[]
    /** More endpoints, and where they are. */
    readonly resolve?: Readonly<Record<string, string>>
  } = {},
): Promise<AwsRig> {
  const postgres = await startOpenPostgres()
  const sandbox = await startSandboxRig(world, realPostgres(postgres))
  const {environment, resolve, world: running} = sandbox.sandbox
  for (const service of options.outages ?? []) running.switches.outages.add(service)
  const endpoints = [...resolve.keys()]
  for (const statement of options.sql ?? []) await postgres.execute(statement)
  const databases = resources.map(({name, uri, tls, aws, admin}) =>
    databaseResource(name, typeof uri === 'string' ? uri : uri(endpoints), {
      ...(tls && {tls}),
      ...(aws && {aws}),
      ...(admin && {admin_user: {name: admin, default_database: 'postgres'}}),
    }),
  )
  const startAgents = async (variables: Readonly<Record<string, string>>): Promise<AgentRig> => {
    const more = Object.entries(options.resolve ?? {}).map((pair) => pair.join('='))
    const started = await startAgentRig({
      uri: 'unused.example.com:5432',
      agent: {
        databases,
        environment: variables,
        connectAddresses: parseConnectAddresses([environment.POSTERN_RESOLVE, ...more].join(',')),
        ...options.agent,
      },
    })
    started.plane.put({
      kind: 'role',
      name: 'access',
      item: role('access', {db_labels: {'*': ['*']}, db_users: ['*'], db_names: ['*']}),
    })
    return started
  }
  const agents = await startAgents(environment)
  const started = await psqlRunner(agents)
  return {
    agents,
    sandbox,
    postgres,
    psql: started,
    refusal: (where) => refusalOf(started, where),
    another: async (variables) => {
      const others = await startAgents(variables)
      const runner = await psqlRunner(others)
      return {refusal: (where) => refusalOf(runner, where), stop: () => others.stop()}
    },
    stop: async () => {
      await agents.stop()
      await sandbox.close()
      await postgres.stop()
    },
  }
}

async function refusalOf(psql: AwsRig['psql'], where: Where): Promise<string> {
  try {
    await psql(where, 'select 1')
  } catch (error) {
    return (error as {readonly stderr?: string}).stderr ?? String(error)
  }
  throw new Error('nothing was refused')
}

async function psqlRunner(agents: AgentRig): Promise<AwsRig['psql']> {
  const authority = join(agents.directory, 'host-ca.pem')
  await writeFile(authority, agents.plane.host.certificate)
  return async ({database, dbUser, dbName = 'postgres'}, sql) => {
    const {certificate, privateKey} = await agents.guest({
      route: {database, protocol: 'postgres', dbUser, dbName, dbRoles: []},
    })
    const base = join(agents.directory, randomUUID())
    await writeFile(`${base}.crt`, certificate)
    await writeFile(`${base}.key`, privateKey.reveal(), {mode: 0o600})
    const env = {
      PATH: process.env.PATH,
      PGHOST: databaseServerName(database, cluster),
      PGHOSTADDR: '127.0.0.1',
      PGPORT: String(agents.proxy.address.port),
      PGUSER: dbUser,
      PGDATABASE: dbName,
      PGSSLMODE: 'verify-full',
      PGSSLROOTCERT: authority,
      PGSSLCERT: `${base}.crt`,
      PGSSLKEY: `${base}.key`,
    }
    // The agent's certificate for direct connections comes a moment after its start.
    const {stdout} = await run('psql', ['--no-psqlrc', '-v', 'VERBOSITY=verbose', '-Atc', sql], {env, timeout: 60_000})
    return stdout.trim()
  }
}
