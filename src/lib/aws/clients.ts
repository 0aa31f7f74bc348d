/** Clients of AWS' services, all made in one way: region, endpoint, credentials, patience. The SDK is loaded when one is made. */
import type {IAMClient} from '@aws-sdk/client-iam'
import type {RDSClient} from '@aws-sdk/client-rds'
import type {RedshiftClient} from '@aws-sdk/client-redshift'
import type {RedshiftServerlessClient} from '@aws-sdk/client-redshift-serverless'
import type {STSClient} from '@aws-sdk/client-sts'
import {endpointOf, fallbackRegion, regionOf, type AwsEnvironment, type ServiceId} from './environment.js'
import {revealSession, type AwsSession, type ClearCredentials} from './session.js'

/** As whom, and where. */
export interface Caller {
  readonly session: AwsSession
  readonly region: string
}

const patience = {
  maxAttempts: 3,
  requestHandler: {connectionTimeout: 3000, requestTimeout: 10_000, throwOnRequestTimeout: true},
} as const

/** What every client of the SDK gets. */
export interface ClientSettings {
  readonly region: string
  readonly endpoint?: string
  readonly maxAttempts: number
  readonly requestHandler: typeof patience.requestHandler
  readonly customUserAgent: string
}

/** Makes clients. Whoever asks for one destroys it after use: `using(client, …)`. */
export class AwsClients {
  readonly #environment: AwsEnvironment

  constructor(environment: AwsEnvironment) {
    this.#environment = environment
    // The SDK would tell every user on Node 20, on standard error, that later versions of it want a later Node.
    process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true'
  }

  async sts(caller: Caller): Promise<STSClient> {
    const {STSClient: Client} = await import('@aws-sdk/client-sts')
    return new Client(this.#options('STS', caller))
  }

  async iam(caller: Caller): Promise<IAMClient> {
    const {IAMClient: Client} = await import('@aws-sdk/client-iam')
    return new Client(this.#options('IAM', caller))
  }

  async rds(caller: Caller): Promise<RDSClient> {
    const {RDSClient: Client} = await import('@aws-sdk/client-rds')
    return new Client(this.#options('RDS', caller))
  }

  async redshift(caller: Caller): Promise<RedshiftClient> {
    const {RedshiftClient: Client} = await import('@aws-sdk/client-redshift')
    return new Client(this.#options('REDSHIFT', caller))
  }

  async redshiftServerless(caller: Caller): Promise<RedshiftServerlessClient> {
    const {RedshiftServerlessClient: Client} = await import('@aws-sdk/client-redshift-serverless')
    return new Client(this.#options('REDSHIFT_SERVERLESS', caller))
  }

  /** Settings of a client that brings its own credentials, or needs none. */
  settings(service: ServiceId, region: string): ClientSettings {
    const endpoint = endpointOf(this.#environment, service)
    return {region, ...patience, customUserAgent: 'postern', ...(endpoint !== undefined && {endpoint})}
  }

  /** The region to use where a resource names none: of the variables, then of the profile. */
  async defaultRegion(): Promise<string> {
    const named = regionOf(this.#environment)
    if (named !== undefined) return named
    const {STSClient: Client} = await import('@aws-sdk/client-sts')
    const client = new Client({})
    try {
      return await client.config.region()
    } catch {
      return fallbackRegion
    } finally {
      client.destroy()
    }
  }

  #options(service: ServiceId, {session, region}: Caller): ClientSettings & {readonly credentials: ClearCredentials} {
    return {...this.settings(service, region), credentials: revealSession(session)}
  }
}

/** Uses a client and gives up its connections afterwards. */
export async function using<Client extends {destroy(): void}, Result>(
  client: Client,
  use: (client: Client) => Promise<Result>,
): Promise<Result> {
  try {
    return await use(client)
  } finally {
    client.destroy()
  }
}
