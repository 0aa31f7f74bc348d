import {createServer, type Server} from 'node:http'
import {TLSSocket} from 'node:tls'
import fastify, {type FastifyInstance, type FastifyReply, type FastifyRequest} from 'fastify'
import type {ErrorBody} from '../api/transport.js'
import {PosternError, toPosternError} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {describeIssues} from '../resources/resource.js'
import {isAdmin, mayCall, mayCallSome, missingPermission, type Caller, type CallerVerifier} from './caller.js'
import {streamLines} from './line-stream.js'
import {Answer, LineStream, type Access, type Call, type Client, type Route} from './route.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    route?: Route
  }
}

export interface HttpOptions {
  readonly routes: readonly Route[]
  readonly verifier: Pick<CallerVerifier, 'verify'>
  readonly client: (socket: TLSSocket) => Client
  readonly logger: Logger
  readonly counters: {requests: number; refused: number}
}

export interface HttpApp {
  /** Takes a TLS connection whose handshake is done. */
  accept(socket: TLSSocket): void
  close(): Promise<void>
}

const defaultBodyLimit = 65_536
const maximumHeaderBytes = 16_384
const headersTimeout = 10_000
const requestTimeout = 60_000
const keepAliveTimeout = 20_000
/** How often Node looks for connections that are over these times. */
const connectionsCheckingInterval = 2000

/** HTTP behind TLS that others end: every route of the table, and nothing without a declared access. */
export async function createHttpApp({routes, verifier, client, logger, counters}: HttpOptions): Promise<HttpApp> {
  const callers = new WeakMap<FastifyRequest, Caller>()
  const app = fastify({
    serverFactory: (handler): Server =>
      createServer(
        {
          maxHeaderSize: maximumHeaderBytes,
          headersTimeout,
          requestTimeout,
          keepAliveTimeout,
          connectionsCheckingInterval,
        },
        handler,
      ),
    bodyLimit: defaultBodyLimit,
    exposeHeadRoutes: false,
    routerOptions: {maxParamLength: 1024},
    // Routes have schemas of Zod's; loading Fastify's own compilers takes a tenth of a second.
    schemaController: {compilersFactory: {buildValidator: compileNothing, buildSerializer: compileNothing}},
  })

  checkCallers(app, callers, {verifier, counters})
  logAnswers(app, logger)
  answerFailures(app, {logger, counters})
  readOtherBodies(app)
  for (const route of routes) addRoute(app, route, callers, client)
  await app.ready()
  // It never listens itself, but starts to watch its deadlines only then.
  app.server.emit('listening')
  return {
    accept: (socket) => {
      app.server.emit('connection', socket)
    },
    close: async () => {
      app.server.closeAllConnections()
      // It was not listening: only its deadlines end.
      app.server.close(() => undefined)
      await app.close()
    },
  }
}

/** No route without a declared access, and no request without a caller who has it. */
function checkCallers(
  app: FastifyInstance,
  callers: WeakMap<FastifyRequest, Caller>,
  {verifier, counters}: Pick<HttpOptions, 'verifier' | 'counters'>,
): void {
  app.addHook('onRoute', ({config, method, url}) => {
    if (!config?.route?.access)
      throw new PosternError('INTERNAL', `The route ${String(method)} ${url} does not say who may call it.`)
  })
  // Before the body is read: strangers make us parse nothing.
  app.addHook('onRequest', async (request) => {
    counters.requests++
    const {route} = request.routeOptions.config
    if (request.is404 || route?.access.kind === 'public') return
    if (!route) throw new PosternError('ACCESS_DENIED', 'Nobody may call this.')
    const caller = await verifier.verify(socketOf(request))
    authorize(caller, route.access)
    callers.set(request, caller)
  })
}

function logAnswers(app: FastifyInstance, logger: Logger): void {
  app.addHook('onResponse', (request, reply, done) => {
    // The pattern of the route, not the URL: URLs hold invite tokens.
    logger.debug('An API request was answered.', {
      method: request.method,
      route: request.routeOptions.url ?? 'unknown',
      status: reply.statusCode,
      milliseconds: Math.round(reply.elapsedTime),
    })
    done()
  })
}

function answerFailures(app: FastifyInstance, {logger, counters}: Pick<HttpOptions, 'logger' | 'counters'>): void {
  app.setErrorHandler((failure, _request, reply) => {
    const error = readFailure(failure)
    counters.refused++
    if (error.code === 'INTERNAL') logger.error('An API request failed.', {reason: error.message, stack: error.stack})
    // Who failed to prove who they are opens a new connection for the next try.
    if (error.code === 'NOT_LOGGED_IN' || error.code === 'EXPIRED') void reply.header('connection', 'close')
    return sendError(reply, error)
  })
  app.setNotFoundHandler((_request, reply) =>
    sendError(reply, new PosternError('NOT_FOUND', 'There is no such route.')),
  )
}

/** Bodies that are not JSON: lines of events, and the forms of the web pages. */
function readOtherBodies(app: FastifyInstance): void {
  app.addContentTypeParser('application/x-ndjson', {parseAs: 'buffer'}, (_request, body, done) => {
    done(null, body)
  })
  app.addContentTypeParser('application/x-www-form-urlencoded', {parseAs: 'string'}, (_request, body, done) => {
    done(null, Object.fromEntries(new URLSearchParams(body.toString())))
  })
}

function compileNothing(): never {
  throw new PosternError('INTERNAL', 'A route has a schema for Fastify.')
}

function addRoute(
  app: FastifyInstance,
  route: Route,
  callers: WeakMap<FastifyRequest, Caller>,
  client: (socket: TLSSocket) => Client,
): void {
  app.route({
    method: route.method,
    url: route.path,
    config: {route},
    ...(route.bodyLimit === undefined ? {} : {bodyLimit: route.bodyLimit}),
    handler: async (request, reply) => {
      const call: Call<unknown, Caller | undefined> = {
        caller: callers.get(request),
        body: readBody(route, request.body),
        parameters: request.params as Readonly<Record<string, string>>,
        query: request.query,
        headers: request.headers,
        client: client(socketOf(request)),
      }
      // The hook has let through only callers of the type that the route's maker promised to its handler.
      const answer: unknown = await route.handle(call as Call<never, never>)
      if (answer instanceof LineStream) {
        reply.hijack()
        streamLines(answer, reply.raw)
        return reply
      }
      if (answer instanceof Answer) return reply.code(answer.status).headers(answer.headers).send(answer.body)
      return answer === undefined ? reply.code(204).send() : reply.header('cache-control', 'no-store').send(answer)
    },
  })
}

function socketOf({raw: {socket}}: FastifyRequest): TLSSocket {
  if (socket instanceof TLSSocket) return socket
  throw new PosternError('INTERNAL', 'A request came without TLS.')
}

/** Whether the caller is one that the route is for. @throws PosternError ACCESS_DENIED */
function authorize(caller: Caller, access: Access): void {
  const allowed = ((): boolean => {
    switch (access.kind) {
      case 'public':
      case 'member':
        return true
      case 'user':
        return caller.kind === 'user'
      case 'permission':
        return access.verbs.some((verb) => (access.some ? mayCallSome : mayCall)(caller, access.resource, verb))
      case 'host':
        return caller.kind === 'host' && access.systemRoles.some((role) => caller.identity.systemRoles.includes(role))
    }
  })()
  if (allowed) return
  if (access.kind === 'permission' && caller.kind === 'user') {
    throw missingPermission(access.resource, access.verbs[0] ?? '*')
  }
  if (access.kind === 'user' && isAdmin(caller)) {
    throw new PosternError('ACCESS_DENIED', 'This is for users; the admin identity of the host is not one.', {
      hint: 'Log in with `postern login`.',
    })
  }
  throw new PosternError('ACCESS_DENIED', `This request is not for a ${caller.kind} like this one.`)
}

function readBody({schema}: Route, body: unknown): unknown {
  if (!schema) return undefined
  const result = schema.safeParse(body)
  if (result.success) return result.data
  throw new PosternError('INVALID', `The request is not valid: ${describeIssues(result.error)}.`)
}

/** Failures of the HTTP layer have a status; ours have a code; anything else is a fault of ours. */
function readFailure(failure: unknown): PosternError {
  if (failure instanceof PosternError) return failure
  const {statusCode} = failure as {statusCode?: number}
  if (statusCode === 413) return new PosternError('INVALID', 'The request is too large.', {cause: failure})
  if (statusCode !== undefined && statusCode < 500) {
    return new PosternError('INVALID', 'The request is malformed.', {cause: failure})
  }
  return toPosternError(failure)
}

function sendError(reply: FastifyReply, error: PosternError): FastifyReply {
  // What went wrong inside is for the log.
  const message = error.code === 'INTERNAL' ? 'The control plane failed to answer; its log says why.' : error.message
  const body: ErrorBody = {
    error: {code: error.code, message, ...(error.hints.length > 0 ? {hints: error.hints} : {})},
  }
  return reply.code(error.httpStatus).header('cache-control', 'no-store').send(body)
}
