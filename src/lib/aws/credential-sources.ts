/** The places where a host keeps AWS credentials, each as one attempt. */
import {request} from 'node:http'
import {homedir} from 'node:os'
import {join} from 'node:path'
import {PosternError} from '../core/errors.js'
import {afterRunning} from '../core/running-time.js'
import type {AwsClients} from './clients.js'
import {isMetadataDisabled, type AwsEnvironment} from './environment.js'
import type {ClearCredentials} from './session.js'
import {readSharedProfile} from './shared-profile.js'

export interface SourceContext {
  readonly environment: AwsEnvironment
  readonly clients: AwsClients
  readonly region: string
}

/** What a source has; it throws when it is set up and does not work. */
export type Attempt = {readonly credentials: ClearCredentials} | {readonly absent: string}

export interface CredentialSource {
  readonly name: string
  read(context: SourceContext): Promise<Attempt>
}

/** The SDK writes to the console otherwise. */
const silent = {debug: noop, info: noop, warn: noop, error: noop, trace: noop}

const metadataMilliseconds = 1000
const probeMilliseconds = 500
const defaultMetadataEndpoint = 'http://169.254.169.254'

/** In the order in which they are asked. */
export const credentialSources: readonly CredentialSource[] = [
  {name: 'environment', read: readEnvironment},
  {name: 'shared files', read: readSharedFiles},
  {name: 'web identity', read: readWebIdentity},
  {name: 'container endpoint', read: readContainer},
  {name: 'EC2 instance metadata', read: readMetadata},
]

function readEnvironment({environment}: SourceContext): Promise<Attempt> {
  const {AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: key, AWS_SESSION_TOKEN: token} = environment
  const {AWS_CREDENTIAL_EXPIRATION: end} = environment
  if (!id && !key) return absent('AWS_ACCESS_KEY_ID is not set')
  if (!id || !key) {
    const missing = id ? 'AWS_SECRET_ACCESS_KEY' : 'AWS_ACCESS_KEY_ID'
    return Promise.reject(new PosternError('INVALID', `${missing} is not set, but the other half of the key is`))
  }
  const credentials = {
    accessKeyId: id,
    secretAccessKey: key,
    ...(token && {sessionToken: token}),
    ...(end && !Number.isNaN(Date.parse(end)) && {expiration: new Date(end)}),
  }
  return Promise.resolve({credentials})
}

/** Both files at once, as AWS' own tools read them: keys, roles, SSO sessions and credential processes of one profile. */
async function readSharedFiles({environment, clients, region}: SourceContext): Promise<Attempt> {
  const {fromIni} = await import('@aws-sdk/credential-providers')
  const profile = environment.AWS_PROFILE ?? 'default'
  const home = environment.HOME ?? homedir()
  const filepath = environment.AWS_SHARED_CREDENTIALS_FILE ?? join(home, '.aws', 'credentials')
  const configFilepath = environment.AWS_CONFIG_FILE ?? join(home, '.aws', 'config')
  const clientConfig = clients.settings('STS', region)
  try {
    const provider = fromIni({profile, filepath, configFilepath, ignoreCache: true, clientConfig, logger: silent})
    return {credentials: await provider()}
  } catch (error) {
    // The SDK would go on to the next source after any of its own errors, a broken profile included.
    if (!isOwnError(error)) throw error
    const {exists, hasCredentials, processOf} = await readSharedProfile({profile, filepath, configFilepath})
    // What the command printed, and how it was called, may be secret.
    if (processOf !== undefined) throw new PosternError('FAILED', `credential_process of profile "${processOf}" failed`)
    if (hasCredentials || (!exists && environment.AWS_PROFILE)) throw error
    return {absent: `no credentials for profile "${profile}" in ${filepath} or ${configFilepath}`}
  }
}

async function readWebIdentity({environment, clients, region}: SourceContext): Promise<Attempt> {
  const {AWS_WEB_IDENTITY_TOKEN_FILE: webIdentityTokenFile, AWS_ROLE_ARN: roleArn} = environment
  if (!webIdentityTokenFile || !roleArn) {
    return {absent: `${webIdentityTokenFile ? 'AWS_ROLE_ARN' : 'AWS_WEB_IDENTITY_TOKEN_FILE'} is not set`}
  }
  const {fromTokenFile} = await import('@aws-sdk/credential-providers')
  const roleSessionName = environment.AWS_ROLE_SESSION_NAME ?? 'postern'
  const clientConfig = clients.settings('STS', region)
  const provider = fromTokenFile({webIdentityTokenFile, roleArn, roleSessionName, clientConfig, logger: silent})
  return {credentials: await provider()}
}

/** ECS tasks and EKS Pod Identity. */
async function readContainer({environment}: SourceContext): Promise<Attempt> {
  const {AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: relative, AWS_CONTAINER_CREDENTIALS_FULL_URI: full} = environment
  if (!relative && !full) return {absent: 'AWS_CONTAINER_CREDENTIALS_FULL_URI is not set'}
  const {fromHttp} = await import('@aws-sdk/credential-providers')
  const provider = fromHttp({
    awsContainerCredentialsRelativeUri: relative,
    awsContainerCredentialsFullUri: full,
    awsContainerAuthorizationToken: environment.AWS_CONTAINER_AUTHORIZATION_TOKEN,
    awsContainerAuthorizationTokenFile: environment.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE,
    timeout: metadataMilliseconds,
    maxRetries: 0,
    logger: silent,
  } as Parameters<typeof fromHttp>[0])
  return {credentials: await provider()}
}

async function readMetadata({environment}: SourceContext): Promise<Attempt> {
  if (isMetadataDisabled(environment)) return {absent: 'switched off by AWS_EC2_METADATA_DISABLED'}
  const endpoint = environment.AWS_EC2_METADATA_SERVICE_ENDPOINT ?? defaultMetadataEndpoint
  try {
    return {credentials: await askMetadata()}
  } catch (error) {
    if (!mayBeLate(error)) return {absent: explainMetadata(error, endpoint)}
  }
  if (!(await answers(endpoint))) {
    return {absent: `${endpoint} does not answer: this is no EC2 instance, or it is blocked`}
  }
  try {
    // The answer may only have been late, where this process or the service was held up.
    return {credentials: await askMetadata()}
  } catch (error) {
    return {absent: explainMetadata(error, endpoint)}
  }
}

async function askMetadata(): Promise<ClearCredentials> {
  const {fromInstanceMetadata} = await import('@aws-sdk/credential-providers')
  const provider = fromInstanceMetadata({
    timeout: metadataMilliseconds,
    maxRetries: 0,
    ec2MetadataV1Disabled: true,
    logger: silent,
  })
  return provider()
}

/** Whether the SDK made this error, and not AWS. */
const isOwnError = (error: unknown): boolean => (error as {readonly tryNextLink?: boolean}).tryNextLink === true

/** Without a token the SDK says no more than that it will not go on without one. */
const isWithoutToken = (error: unknown): boolean => (error as Error).name === 'InstanceMetadataV1FallbackError'

/** Whether an answer did not come in time, as far as the SDK tells. */
const mayBeLate = (error: unknown): boolean =>
  isWithoutToken(error) || (error as Error).message.startsWith('TimeoutError')

function explainMetadata(error: unknown, endpoint: string): string {
  const {message, statusCode} = error as Error & {readonly statusCode?: number}
  if (isWithoutToken(error)) {
    return (
      `${endpoint} answers, but gave no IMDSv2 token within ${metadataMilliseconds} ms: in a container the hop limit of ` +
      'the instance (HttpPutResponseHopLimit) must be at least 2'
    )
  }
  if (statusCode === 404) return `${endpoint} answers that the instance has no role`
  return `${endpoint} gives no credentials (${message}${statusCode === undefined ? '' : `, HTTP ${statusCode}`})`
}

/** Whether anything speaks HTTP there: requests other than for tokens are answered across any number of hops. */
function answers(endpoint: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = request(new URL('/latest/meta-data/', endpoint), (response) => {
      response.resume()
      resolve(true)
    })
    const forget = afterRunning(probeMilliseconds, () => probe.destroy())
    probe.on('error', noop)
    probe.on('close', () => {
      forget()
      resolve(false)
    })
    probe.end()
  })
}

const absent = (reason: string): Promise<Attempt> => Promise.resolve({absent: reason})

function noop(): void {
  // Nothing is to be done or said.
}
