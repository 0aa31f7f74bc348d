import {mkdir, readFile, rename, writeFile} from 'node:fs/promises'
import {hostname} from 'node:os'
import {join} from 'node:path'
import {X509Certificate} from 'node:crypto'
import {ApiClient} from '../api/client.js'
import type {JoinRequest} from '../api/requests.js'
import type {Endpoint} from '../api/transport.js'
import type {Binding, IdentityProof} from '../aws/identity-proof.js'
import type {Clock} from '../core/clock.js'
import {messageOf, PosternError, type ErrorCode} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {Secret} from '../core/secret.js'
import type {Credentials} from '../pki/credentials.js'
import {generateKeys} from '../pki/keys.js'
import {hostRenewalTime} from '../pki/renewal.js'
import type {JoinRole} from '../resources/token.js'
import {authServerName} from '../resources/route.js'

/** Between two renewals, failed or not: there are weeks left, and a host whose clock is far ahead must not ask all the time. */
const renewalPause = 60 * 60_000
/** setTimeout takes no more than 31 bits of milliseconds. */
const longestTimer = 2 ** 31 - 1
const firstJoinRetry = 500
const longestJoinRetry = 30_000
const retried: readonly ErrorCode[] = ['UNREACHABLE', 'TOO_MANY_REQUESTS']

export interface HostOptions {
  readonly dataDir: string
  readonly systemRole: JoinRole
  readonly version: string
  /** Where the API is reached, for joining: with the trust that the configuration gives. Asked only without a stored identity. */
  readonly firstContact: () => Promise<Endpoint>
  readonly token: () => Promise<Secret | undefined>
  /** For the join method iam: the token is only a name, and this proves who the host is in AWS. */
  readonly prove?: (binding: Binding) => Promise<IdentityProof>
  /** The address of the API afterwards: the proxy, or the Auth Service itself. */
  readonly address: {readonly host: string; readonly port: number}
  readonly nodename?: string
  readonly clock: Clock
  readonly logger: Logger
  readonly signal?: AbortSignal
}

interface Stored {
  readonly hostId: string
  readonly cluster: string
  readonly certificate: string
  readonly privateKey: string
  readonly hostAuthorities: readonly string[]
}

/** The identity of this host for one system role: kept in the data directory, renewed at half of its life. */
export class HostIdentity {
  #stored: Stored
  readonly #options: HostOptions
  #timer: NodeJS.Timeout | undefined
  /** Where the API is reached as this host. */
  readonly endpoint: Omit<Endpoint, 'credentials'>
  readonly api: ApiClient

  private constructor(stored: Stored, options: HostOptions) {
    this.#stored = stored
    this.#options = options
    this.endpoint = {
      ...options.address,
      serverName: authServerName(stored.cluster),
      authorities: stored.hostAuthorities,
    }
    this.api = new ApiClient({...this.endpoint, credentials: () => this.credentials()})
    this.#schedule()
  }

  /**
   * The stored identity, or a new one by joining.
   * @throws PosternError ACCESS_DENIED when the token is refused, INVALID when there is none; waits for an unreachable cluster
   */
  static async open(options: HostOptions): Promise<HostIdentity> {
    const file = identityFile(options)
    const stored = await readStored(file)
    if (stored && Date.parse(new X509Certificate(stored.certificate).validTo) > options.clock.now()) {
      return new HostIdentity(stored, options)
    }
    const joined = await joinCluster(options)
    await writeStored(file, joined)
    return new HostIdentity(joined, options)
  }

  get hostId(): string {
    return this.#stored.hostId
  }

  get cluster(): string {
    return this.#stored.cluster
  }

  readonly credentials = (): Credentials => ({
    certificate: this.#stored.certificate,
    privateKey: new Secret(this.#stored.privateKey),
  })

  readonly hostAuthorities = (): readonly string[] => this.#stored.hostAuthorities

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.api.close()
  }

  /** Renews when it is time, and not before `pause` milliseconds have passed. */
  #schedule(pause = 0): void {
    const {validFrom, validTo} = new X509Certificate(this.#stored.certificate)
    const {clock} = this.#options
    const due = hostRenewalTime({notBefore: Date.parse(validFrom), notAfter: Date.parse(validTo)})
    this.#wait(Math.max(due, clock.now() + pause))
  }

  #wait(due: number): void {
    const {clock} = this.#options
    this.#timer = setTimeout(
      () => {
        if (clock.now() < due) this.#wait(due)
        else void this.#renew()
      },
      Math.min(Math.max(due - clock.now(), 0), longestTimer),
    )
    this.#timer.unref()
  }

  async #renew(): Promise<void> {
    try {
      const keys = await generateKeys()
      const {certificate, hostAuthorities} = await this.api.renewHost({publicKey: keys.publicKey})
      this.#stored = {...this.#stored, certificate, hostAuthorities, privateKey: keys.privateKey.reveal()}
      await writeStored(identityFile(this.#options), this.#stored)
      this.#options.logger.info('The host certificate was renewed.', {host_id: this.hostId})
      this.#schedule(renewalPause)
    } catch (error) {
      this.#options.logger.warn('The host certificate could not be renewed; it will be tried again.', {
        reason: messageOf(error),
      })
      this.#schedule(renewalPause)
    }
  }
}

async function joinCluster(options: HostOptions): Promise<Stored> {
  const token = await options.token()
  if (!token) {
    throw new PosternError(
      'INVALID',
      `This host has not joined yet and has no join token for the role ${options.systemRole}.`,
      {
        hint: [
          `Make one with \`postern tokens add --type=${options.systemRole.toLowerCase()}\` on the control plane.`,
          'Give it as auth_token in the configuration, or with --token.',
        ],
      },
    )
  }
  for (let wait = firstJoinRetry; ; wait = Math.min(wait * 2, longestJoinRetry)) {
    try {
      const keys = await generateKeys()
      const api = new ApiClient(await options.firstContact())
      try {
        const {publicKey} = keys
        const joined = await api.join({
          token: token.reveal(),
          ...(options.prove && {iam: await answerChallenge(api, publicKey, options.prove)}),
          systemRole: options.systemRole,
          hostname: options.nodename ?? hostname(),
          version: options.version,
          publicKey,
        })
        options.logger.info('This host joined the cluster.', {cluster: joined.cluster, host_id: joined.hostId})
        return {...joined, privateKey: keys.privateKey.reveal()}
      } finally {
        await api.close()
      }
    } catch (error) {
      // A cluster that is still starting is waited for, and one that is busy; a refusal is final.
      if (!(error instanceof PosternError && retried.includes(error.code))) throw error
      options.logger.warn('The cluster cannot be reached yet; joining is tried again.', {reason: error.message})
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(resolve, wait)
        options.signal?.addEventListener('abort', () => {
          clearTimeout(timer)
          reject(new PosternError('FAILED', 'Joining was given up.', {cause: error}))
        })
      })
    }
  }
}

async function answerChallenge(
  api: ApiClient,
  publicKey: string,
  prove: NonNullable<HostOptions['prove']>,
): Promise<JoinRequest['iam']> {
  const {challenge} = await api.joinChallenge({publicKey})
  return {challenge, ...(await prove({challenge, publicKey}))}
}

function identityFile({dataDir, systemRole}: HostOptions): string {
  return join(dataDir, 'host', `${systemRole.toLowerCase()}.json`)
}

async function readStored(file: string): Promise<Stored | undefined> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new PosternError('FAILED', `The host identity ${file} cannot be read.`, {cause: error})
  })
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as Stored
  } catch (error) {
    throw new PosternError('INVALID', `The host identity ${file} is damaged.`, {
      cause: error,
      hint: `Remove it (\`rm ${file}\`) and start again with a join token.`,
    })
  }
}

/** Written beside and renamed, so that a crash leaves the old identity or the new one. */
async function writeStored(file: string, stored: Stored): Promise<void> {
  await mkdir(join(file, '..'), {recursive: true, mode: 0o700})
  await writeFile(`${file}.new`, JSON.stringify(stored), {mode: 0o600, flush: true})
  await rename(`${file}.new`, file)
}
