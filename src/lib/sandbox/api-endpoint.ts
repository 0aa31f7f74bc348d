/**
 * One HTTP server for all fake services: the service is the one that the request was signed for, as the SDKs send them all
 * to AWS_ENDPOINT_URL.
 */
import {randomUUID} from 'node:crypto'
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http'
import {setTimeout as sleep} from 'node:timers/promises'
import {messageOf, PosternError} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import type {ApiRequest, ApiService, WireAnswer} from './api-call.js'
import {Fault} from './fault.js'
import {iam} from './iam.js'
import {Rate} from './rate.js'
import {rds} from './rds.js'
import {redshift} from './redshift.js'
import {redshiftServerless} from './redshift-serverless.js'
import {authenticate} from './request-signature.js'
import {readClaim, sha256Hex, type SignatureClaim} from './sigv4.js'
import {sts} from './sts.js'
import type {ServiceName, World} from './world.js'

const services: ReadonlyMap<string, ApiService> = new Map<ServiceName, ApiService>([
  ['sts', sts],
  ['iam', iam],
  ['rds', rds],
  ['redshift', redshift],
  ['redshift-serverless', redshiftServerless],
])

const maximumBodyBytes = 1_048_576

export interface ApiOptions {
  readonly world: World
  readonly logger: Logger
}

/** The server; it does not listen yet. */
export function createApiServer(options: ApiOptions): Server {
  const endpoint = new ApiEndpoint(options)
  return createServer((request, response) => {
    void endpoint.handle(request, response)
  })
}

type Claim = SignatureClaim | 'none' | 'malformed'

class ApiEndpoint {
  readonly #world: World
  readonly #logger: Logger
  readonly #rate = new Rate()

  constructor({world, logger}: ApiOptions) {
    this.#world = world
    this.#logger = logger
  }

  async handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const request = await receive(incoming)
      const {answerDelay} = this.#world.switches
      if (answerDelay > 0) await sleep(answerDelay, undefined, {ref: false})
      const {status, contentType, headers, body} = this.#answer(request)
      // SDKs correct their clock by the date, so it has to be AWS's.
      const date = new Date(this.#world.now()).toUTCString()
      const all = {...headers, date, 'content-type': contentType, 'x-amzn-requestid': request.id}
      response.writeHead(status, all).end(body)
    } catch (error) {
      this.#logger.info('dropped an AWS request', {error: messageOf(error)})
      response.destroy()
    }
  }

  #answer(request: ApiRequest): WireAnswer {
    const claim = readClaim(request)
    // The only requests without a signature are those for a first identity.
    const name = typeof claim === 'string' ? 'sts' : claim.service
    const service = services.get(name)
    const log = {service: name, action: service?.actionOf(request)}
    try {
      if (!service) throw new Fault('InvalidAction', 400, `The sandbox has no service ${name}`)
      const answer = this.#serve(name, service, request, claim)
      this.#logger.debug('answered an AWS request', log)
      return answer
    } catch (error) {
      const fault = error instanceof Fault ? error : new Fault('InternalFailure', 500, messageOf(error))
      this.#logger.info('refused an AWS request', {...log, code: fault.code, reason: fault.message})
      return (service ?? sts).refuse(fault, request)
    }
  }

  #serve(name: string, service: ApiService, request: ApiRequest, claim: Claim): WireAnswer {
    const {switches} = this.#world
    if (switches.outages.has(name as ServiceName)) throw new Fault('ServiceUnavailable', 503, 'Service is unavailable.')
    const action = service.actionOf(request)
    if (typeof claim === 'string' && service.isAnonymous(action)) {
      return service.answerAnonymous(action, request, this.#world)
    }
    const signed = requireSignature(claim)
    const principal = authenticate(this.#world, request, signed)
    const account = this.#world.accounts.get(principal.account)
    if (!account) throw new Fault('InvalidClientTokenId', 403, 'The security token included in the request is invalid.')
    if (!this.#rate.take(`${account.id}/${name}/${action}`, switches.requestsPerSecond, this.#world.monotonic())) {
      throw new Fault('Throttling', 400, 'Rate exceeded')
    }
    return service.answer(action, request, {world: this.#world, principal, account, region: signed.region})
  }
}

function requireSignature(claim: Claim): SignatureClaim {
  if (claim === 'none') throw new Fault('MissingAuthenticationToken', 403, 'Request is missing Authentication Token')
  if (claim === 'malformed') throw new Fault('IncompleteSignature', 400, 'The signature of the request is incomplete.')
  return claim
}

/** The request with its body, and everything that its signature may cover. */
async function receive(incoming: IncomingMessage): Promise<ApiRequest> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maximumBodyBytes) throw new PosternError('INVALID', 'The request is larger than any for AWS.')
    chunks.push(chunk)
  }
  const body = Buffer.concat(chunks)
  const url = incoming.url ?? '/'
  const question = url.indexOf('?')
  const headers = Object.entries(incoming.headersDistinct).map(([name, values]) => [name, values ?? []] as const)
  return {
    id: randomUUID(),
    method: incoming.method ?? 'GET',
    path: question < 0 ? url : url.slice(0, question),
    query: question < 0 ? '' : url.slice(question + 1),
    headers: new Map(headers),
    payloadHash: sha256Hex(body),
    body: body.toString('utf8'),
  }
}
