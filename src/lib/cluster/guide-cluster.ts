/** A sandbox AWS with a guide's database, and a cluster that the guide can be followed on. */
import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {startGuideSandbox, type GuideSandboxOptions} from './guide-sandbox.js'
import type {Guide} from './guide-world.js'
import {startLoopbackCluster} from './loopback-cluster.js'

export interface GuideClusterOptions extends GuideSandboxOptions {
  readonly version: string
  /** Told before each step. */
  readonly onProgress: (step: string) => void
}

/** What is needed to go on with the guide. */
export interface GuideFacts {
  readonly guide: Guide
  readonly directory: string
  /** `host:port` */
  readonly proxy: string
  readonly ca_pin: string
  /** Where administrators' commands find the cluster. */
  readonly config: string
  /** Variables of an agent that is to live in the sandbox, its AWS credentials among them. */
  readonly environment_file: string
  /** Variables of somebody who may change the sandbox's IAM, for the commands that give the agent its permissions. */
  readonly operator_environment_file: string
  readonly database: {
    readonly name: string
    /** `host:port` as AWS would name it. */
    readonly uri: string
    readonly db_name: string
    readonly db_users: readonly string[]
  }
}

export interface GuideCluster {
  readonly facts: GuideFacts
  stop(): Promise<void>
}

/** @throws PosternError; what was started is stopped again */
export async function startGuideCluster(options: GuideClusterOptions): Promise<GuideCluster> {
  const {guide, directory, onProgress} = options
  onProgress('Starting PostgreSQL and the sandbox AWS')
  const sandbox = await startGuideSandbox(options)
  try {
    onProgress('Starting the control plane and the proxy')
    const cluster = await startLoopbackCluster({...options, clusterName: 'sandbox'})
    const environmentFile = join(directory, 'aws.env')
    const operatorFile = join(directory, 'operator.env')
    await writeFile(environmentFile, environmentText(sandbox.environment), {mode: 0o600})
    await writeFile(operatorFile, environmentText(sandbox.operatorEnvironment), {mode: 0o600})
    const {database, uri, databaseName, databaseUsers} = sandbox.guide
    return {
      facts: {
        guide,
        directory,
        proxy: cluster.proxy,
        ca_pin: cluster.caPin,
        config: cluster.configFile,
        environment_file: environmentFile,
        operator_environment_file: operatorFile,
        database: {name: database, uri, db_name: databaseName, db_users: databaseUsers},
      },
      stop: async () => {
        await cluster.stop()
        await sandbox.stop()
      },
    }
  } catch (error) {
    await sandbox.stop()
    throw error
  }
}

/** Lines that a shell and systemd's EnvironmentFile read alike. */
function environmentText(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment)
    .map(([name, value]) => `${name}='${value}'\n`)
    .join('')
}
