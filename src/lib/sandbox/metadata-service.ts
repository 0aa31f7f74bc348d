/**
 * The EC2 instance metadata service, version 2 (EC2 User Guide, "Use IMDSv2"):
 *
 *   agent                                                   this
 *    ── PUT /latest/api/token, time to live ────────────────►    unanswered when one hop is not enough
 *    ◄─ token ───────────────────────────────────────────────
 *    ── GET /latest/meta-data/iam/security-credentials/[role] ►    401 without a token that is good
 *    ◄─ role, or its credentials ────────────────────────────
 */
import {randomBytes} from 'node:crypto'
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http'
import {authorizeOutsider} from './authorization.js'
import type {InstanceProfileDefinition} from './definition.js'
import type {Role} from './identities.js'
import {sessionPrincipal, type Session} from './principal.js'
import {issueSession} from './sessions.js'
import type {World} from './world.js'

const defaults = {instanceId: 'i-0123456789abcdef0', hopLimit: 2, credentialLifetime: 6 * 3_600_000} as const
/** Milliseconds before their end at which new credentials are given out (EC2 User Guide: at least five minutes). */
const renewalMargin = 300_000
const tokenPath = '/latest/api/token'
const credentialsPath = '/latest/meta-data/iam/security-credentials/'
const longestTokenSeconds = 21_600

/** The service of one instance; it does not listen yet. */
export function createMetadataServer(world: World, profile: InstanceProfileDefinition): Server {
  const service = new MetadataService(world, profile)
  return createServer((request, response) => {
    service.answer(request, response)
  })
}

class MetadataService {
  readonly #world: World
  readonly #profile: InstanceProfileDefinition
  /** End of life by token. */
  readonly #tokens = new Map<string, number>()
  #session: Session | undefined

  constructor(world: World, profile: InstanceProfileDefinition) {
    this.#world = world
    this.#profile = profile
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    request.resume()
    const path = request.url ?? '/'
    if (this.#world.switches.outages.has('metadata')) response.writeHead(503).end()
    else if (path === tokenPath && request.method === 'PUT') this.#giveToken(request, response)
    else if (!this.#knows(request.headers['x-aws-ec2-metadata-token'])) response.writeHead(401).end('Unauthorized')
    else this.#give(path, response)
  }

  #giveToken(request: IncomingMessage, response: ServerResponse): void {
    const {hopLimit = defaults.hopLimit} = this.#profile
    // The answer's packets die on the way, so the client waits for its own deadline.
    if (hopLimit < defaults.hopLimit) return
    const seconds = Number(request.headers['x-aws-ec2-metadata-token-ttl-seconds'])
    if (!Number.isInteger(seconds) || seconds < 1 || seconds > longestTokenSeconds) {
      response.writeHead(400).end('Bad Request')
      return
    }
    const token = randomBytes(40).toString('base64')
    this.#tokens.set(token, this.#world.now() + seconds * 1000)
    response.writeHead(200, {'x-aws-ec2-metadata-token-ttl-seconds': seconds}).end(token)
  }

  #knows(token: string | string[] | undefined): boolean {
    return typeof token === 'string' && (this.#tokens.get(token) ?? 0) > this.#world.now()
  }

  #give(path: string, response: ServerResponse): void {
    const {role: name, region, account, instanceId = defaults.instanceId} = this.#profile
    const role = this.#world.accounts.get(account)?.roles.get(name)
    const documents: Readonly<Record<string, () => string>> = {
      [credentialsPath]: () => name,
      [credentialsPath + name]: () => JSON.stringify(this.#credentials(role, instanceId)),
      '/latest/meta-data/instance-id': () => instanceId,
      '/latest/meta-data/placement/region': () => region,
      '/latest/dynamic/instance-identity/document': () => JSON.stringify({accountId: account, instanceId, region}),
    }
    const document = Object.hasOwn(documents, path) ? documents[path] : undefined
    if (document) response.writeHead(200, {'content-type': 'text/plain'}).end(document())
    else response.writeHead(404).end('Not Found')
  }

  #credentials(role: Role | undefined, instanceId: string): object {
    const caller = {kind: 'Service', name: 'ec2.amazonaws.com'} as const
    if (!role || !authorizeOutsider(this.#world, caller, role, 'sts:AssumeRole', new Map())) {
      const Message = 'EC2 cannot assume the role. Please see documentation.'
      return {Code: 'AssumeRoleUnauthorizedAccess', Message, LastUpdated: this.#time(0)}
    }
    const {credentialLifetime = defaults.credentialLifetime} = this.#profile
    if (!this.#session || this.#session.expires - this.#world.now() < renewalMargin) {
      const principal = sessionPrincipal(role, {sessionName: instanceId})
      this.#session = issueSession(this.#world, principal, credentialLifetime)
    }
    const {accessKeyId, secretKey, token, expires} = this.#session
    return {
      Code: 'Success',
      Type: 'AWS-HMAC',
      LastUpdated: this.#time(0),
      AccessKeyId: accessKeyId,
      SecretAccessKey: secretKey.reveal(),
      Token: token.reveal(),
      Expiration: this.#time(expires - this.#world.now()),
    }
  }

  #time(ahead: number): string {
    return new Date(this.#world.now() + ahead).toISOString().replace(/\.\d{3}/, '')
  }
}
