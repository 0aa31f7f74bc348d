/** The AWS account and the database of a guide, without AWS: the sandbox in front of a real PostgreSQL server. */
import {writeFile} from 'node:fs/promises'
import {connect} from 'node:net'
import {join} from 'node:path'
import type {Clock} from '../core/clock.js'
import type {Logger} from '../core/log.js'
import type {PublishedAuthorities} from '../sandbox/authorities.js'
import {startSandbox, type Sandbox} from '../sandbox/sandbox.js'
import type {RealPostgres} from '../sandbox/real-postgres.js'
import {extraSeed, guideWorld, operator, type Guide, type GuideWorld} from './guide-world.js'
import {startPostgres, type PostgresServer} from './postgres.js'

export interface GuideSandboxOptions {
  readonly guide: Guide
  /** Where the server keeps its data and the sandbox its certificates; made when missing. */
  readonly directory: string
  readonly logger: Logger
  readonly clock: Clock
}

export interface GuideSandbox {
  readonly guide: GuideWorld
  /** Variables for an agent that is to live in the sandbox, its secrets among them. */
  readonly environment: Readonly<Record<string, string>>
  /** The same for the reader's own commands about IAM. */
  readonly operatorEnvironment: Readonly<Record<string, string>>
  stop(): Promise<void>
}

/** @throws PosternError when PostgreSQL does not start */
export async function startGuideSandbox(options: GuideSandboxOptions): Promise<GuideSandbox> {
  const {directory, clock, logger} = options
  const guide = guideWorld(options.guide)
  const postgres = await startPostgres({
    directory: join(directory, `postgres-${options.guide}`),
    // RDS Proxy signs in to the real server in its users' stead and compares their passwords with what it keeps.
    settings: {password_encryption: 'scram-sha-256'},
    logger,
  })
  try {
    const sandbox = await startSandbox({
      world: guide.world,
      postgres: realPostgres(postgres),
      directory: join(directory, 'aws'),
      clock,
      logger,
    })
    try {
      await seed(postgres, guide)
      const roots = await writeRoots(join(directory, 'aws', 'roots.pem'), sandbox.authorities)
      const environment = {...sandbox.environment, POSTERN_AWS_CA_FILE: roots}
      return {
        guide,
        environment,
        operatorEnvironment: {...environment, ...keyOf(sandbox, operator)},
        stop: async () => {
          await sandbox.close()
          await postgres.stop()
        },
      }
    } catch (error) {
      await sandbox.close()
      throw error
    }
  } catch (error) {
    await postgres.stop()
    throw error
  }
}

function keyOf({world}: Sandbox, {account, user}: typeof operator): Record<string, string> {
  const [[id, secret] = []] = world.accounts.get(account)?.users.get(user)?.accessKeys ?? []
  if (id === undefined || secret === undefined) throw new Error(`the sandbox has no user ${user}`)
  return {AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret.reveal()}
}

/** One file of all authorities that have signed the databases' certificates. */
async function writeRoots(path: string, authorities: PublishedAuthorities): Promise<string> {
  const certificates = Object.values(authorities).map(({certificate}) => certificate)
  await writeFile(path, certificates.join(''))
  return path
}

/** After the sandbox has started: `rds_iam` is its doing. What an earlier run has done, even in part, stays as it is. */
async function seed(postgres: PostgresServer, {seed: statements, extraDatabase}: GuideWorld): Promise<void> {
  const lacks = async (query: string, database?: string): Promise<boolean> =>
    (await postgres.execute(query, database === undefined ? {} : {database})).length === 0
  if (await lacks("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'alice'")) {
    for (const sql of statements) await postgres.execute(sql)
  }
  if (extraDatabase === undefined) return
  if (await lacks(`SELECT 1 FROM pg_catalog.pg_database WHERE datname = '${extraDatabase}'`)) {
    await postgres.execute(`CREATE DATABASE "${extraDatabase}"`)
  }
  if (await lacks("SELECT 1 FROM pg_catalog.pg_tables WHERE tablename = 'products'", extraDatabase)) {
    await postgres.execute(extraSeed, {database: extraDatabase})
  }
}

/** Over the private socket the server lets this process in as any user. */
function realPostgres(server: PostgresServer): RealPostgres {
  return {
    execute: (sql) => server.execute(sql),
    connectAs: () =>
      new Promise((resolve, reject) => {
        const socket = connect(join(server.superuserSocketDir, `.s.PGSQL.${server.port}`))
        socket.once('error', reject)
        socket.once('connect', () => {
          socket.off('error', reject)
          resolve(socket)
        })
      }),
  }
}
