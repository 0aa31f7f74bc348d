/**
 * A process that serves sessions of the agent (session-messages.ts). It ends with the agent at once, as if both had been
 * killed together: the audit survives that by design, and the next process may use its spool.
 */
import {setTimeout as sleep} from 'node:timers/promises'
import {ApiClient} from '../api/client.js'
import {Spool} from '../audit/spool.js'
import {systemClock} from '../core/clock.js'
import {messageOf} from '../core/errors.js'
import {keepHeapSmall} from '../core/heap-growth.js'
import type {LogFields, Logger, LogLevel} from '../core/log.js'
import {Secret} from '../core/secret.js'
import type {ReadyReport} from '../core/worker-pool.js'
import type {BackendKey} from '../pgwire/server-messages.js'
import type {Credentials} from '../pki/credentials.js'
import {DataConnections} from '../tunnel/data-connections.js'
import type {
  CredentialsText,
  DialOrder,
  SessionOrder,
  SessionReport,
  SharedState,
  WorkerStart,
} from './session-messages.js'
import {SessionServer} from './session-server.js'

const stateMilliseconds = 250
/** Also when nothing has changed: who says nothing hangs. */
const signOfLifeMilliseconds = 1000
/** A control plane that is away must not keep a worker from starting: it then refuses clients, with the reason. */
const openMilliseconds = 3000
const pollMilliseconds = 20

function report(what: SessionReport | ReadyReport): void {
  // The agent may be gone, and then nobody waits for it.
  process.send?.(what, undefined, undefined, ignore)
}

class SessionWorker {
  readonly #server: SessionServer
  /** By the number of the control connection. */
  readonly #connections = new Map<number, DataConnections>()
  /** Cancel requests that were taken to the agent. */
  readonly #presented = new Map<number, () => void>()
  #presentations = 0
  #shared: SharedState
  #lastState = ''

  private constructor(start: WorkerStart, shared: SharedState, spool: Spool) {
    this.#shared = shared
    const credentials = (): Credentials => readCredentials(this.#shared.host)
    this.#server = new SessionServer({
      ...start.settings,
      spool,
      spoolDirectory: start.spoolDirectory,
      api: new ApiClient({...start.endpoint, credentials}),
      credentials,
      refusedDatabases: () => new Map(this.#shared.refused),
      presentCancel: (user, key, database) => this.#present(user, key, database),
      logger,
      clock: systemClock,
    })
    this.#server.catalog.discover(shared.found)
    setInterval(() => {
      this.#reportState()
    }, stateMilliseconds).unref()
    setInterval(() => {
      this.#reportState({always: true})
    }, signOfLifeMilliseconds).unref()
  }

  static async start(start: WorkerStart, shared: SharedState): Promise<SessionWorker> {
    const spool = await Spool.open({directory: start.spoolDirectory, clock: systemClock, logger})
    return new SessionWorker(start, shared, spool)
  }

  /** Waits until somebody could get in, so that a fresh worker turns nobody away whom the others would let in. */
  async opened(): Promise<void> {
    for (let waited = 0; !this.#server.open && waited < openMilliseconds; waited += pollMilliseconds) {
      await sleep(pollMilliseconds)
    }
    this.#reportState()
  }

  #take(shared: SharedState): void {
    this.#shared = shared
    this.#server.catalog.discover(shared.found)
  }

  async obey(order: SessionOrder): Promise<void> {
    if ('shared' in order) this.#take(order.shared)
    else if ('dial' in order) this.#connectionsOf(order.dial).dial(order.dial.nonce, order.dial.at, order.dial.src)
    else if ('use' in order) this.#connections.get(order.tunnel)?.use(order.use, order.src)
    else if ('forget' in order) this.#forget(order.forget)
    else if ('presented' in order) this.#presented.get(order.presented)?.()
    else if ('drainFor' in order) this.#server.drainFor(new Set(order.drainFor), order.deadline)
    else {
      if ('cancel' in order) {
        const {user, pid, secret} = order.cancel
        const found = await this.#server.cancels.cancel(user, {pid, secret: Buffer.from(secret, 'base64')})
        report({answer: order.request, found})
        return
      } else if ('drain' in order) {
        await this.#server.drain(order.drain)
      } else {
        await this.#server.close()
      }
      this.#reportState()
      report({answer: order.request})
    }
  }

  #connectionsOf({tunnel, proxy, recycleMilliseconds}: DialOrder): DataConnections {
    const known = this.#connections.get(tunnel)
    if (known) return known
    const connections = new DataConnections(proxy, recycleMilliseconds, this.#accept, logger, (nonce) => {
      report({closed: nonce})
    })
    this.#connections.set(tunnel, connections)
    return connections
  }

  readonly #accept: SessionServer['accept'] = (socket, session) => {
    this.#server.accept(socket, session)
  }

  #forget(tunnel: number): void {
    this.#connections.get(tunnel)?.close()
    this.#connections.delete(tunnel)
  }

  /** Resolves when every worker has looked for the session. */
  #present(user: string, {pid, secret}: BackendKey, database: string): Promise<void> {
    this.#presentations += 1
    const number = this.#presentations
    return new Promise((resolve) => {
      this.#presented.set(number, () => {
        this.#presented.delete(number)
        resolve()
      })
      report({present: {user, pid, secret: secret.toString('base64')}, database, number})
    })
  }

  #reportState({always = false} = {}): void {
    const {open, statistics} = this.#server
    const state = JSON.stringify({open, statistics})
    if (!always && state === this.#lastState) return
    this.#lastState = state
    report({state: {open, statistics}})
  }
}

/** Logs through the agent, which knows level, format and file. */
function loggerWith(added: LogFields): Logger {
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      report({log: level, message, fields: {...added, ...fields}})
    }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: (fields) => loggerWith({...added, ...fields}),
  }
}

function readCredentials({certificate, privateKey}: CredentialsText): Credentials {
  return {certificate, privateKey: new Secret(privateKey)}
}

function ignore(): void {
  // Nothing to do about it here.
}

const logger = loggerWith({})
let starting: Promise<SessionWorker> | undefined

// The agent decides when sessions end; a signal for the whole group of processes must not do it first.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ignore)
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
keepHeapSmall()
process.on('message', (order: SessionOrder) => {
  if ('start' in order) {
    starting = SessionWorker.start(order.start, order.shared)
    starting
      .then((worker) => worker.opened())
      .then(
        () => {
          report({ready: true})
        },
        (error: unknown) => {
          logger.error('A worker process cannot start.', {reason: messageOf(error)})
          process.disconnect()
        },
      )
  } else {
    starting?.then((worker) => worker.obey(order)).catch(ignore)
  }
})
