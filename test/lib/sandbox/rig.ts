import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {systemClock, type Clock} from '../../../src/lib/core/clock.js'
import {silentLogger, type Logger} from '../../../src/lib/core/log.js'
import type {WorldDefinition} from '../../../src/lib/sandbox/definition.js'
import type {RealPostgres} from '../../../src/lib/sandbox/real-postgres.js'
import {startSandbox, type Sandbox} from '../../../src/lib/sandbox/sandbox.js'

export const home = '111111111111'
export const abroad = '222222222222'
export const region = 'us-west-1'

type Json = Readonly<Record<string, unknown>>

/** A policy document of these statements. */
export const policy = (...Statement: readonly Json[]): Json => ({Version: '2012-10-17', Statement})
export const allow = (Action: string | readonly string[], Resource: string | readonly string[] = '*'): Json =>
  policy({Effect: 'Allow', Action, Resource})
export const trust = (Principal: unknown, more: Json = {}): Json =>
  policy({Effect: 'Allow', Principal, Action: 'sts:AssumeRole', ...more})

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

/** A sandbox, and how clients of AWS are pointed at it. */
export interface Rig {
  readonly sandbox: Sandbox
  readonly clock: MovableClock
  /** What every client gets; one attempt, so that failures are seen. */
  client(credentials: Credentials): ClientOptions
  /** The access key of a user. */
  keyOf(user: string, account?: string): Credentials
  /** Why the last database sign-in was refused, as the sandbox logged it. */
  lastReason(): unknown
  /** How many requests with this action AWS has answered. */
  answered(action: string): number
  close(): Promise<void>
}

export interface ClientOptions {
  readonly endpoint: string
  readonly region: string
  readonly credentials: Credentials
  readonly maxAttempts: number
}

/** The system's clock, moved by as many milliseconds, or a clock that stands still where the test moves it. */
export class MovableClock implements Clock {
  ahead = 0
  #held: {readonly now: number; readonly monotonic: number} | undefined

  now(): number {
    return (this.#held?.now ?? systemClock.now()) + this.ahead
  }

  monotonic(): number {
    return (this.#held?.monotonic ?? systemClock.monotonic()) + this.ahead
  }

  /** From now on no time passes but what the test adds, however slow this machine is. */
  hold(): void {
    this.#held = {now: systemClock.now(), monotonic: systemClock.monotonic()}
  }

  letGo(): void {
    this.#held = undefined
  }
}

export async function startRig(world: WorldDefinition, postgres?: RealPostgres): Promise<Rig> {
  const directory = await mkdtemp(join(tmpdir(), 'sandbox-'))
  const clock = new MovableClock()
  let lastReason: unknown
  const actions: unknown[] = []
  const logger: Logger = {
    ...silentLogger,
    debug: (_, fields) => void actions.push(fields?.action),
    info: (_, fields) => {
      lastReason = fields?.reason ?? lastReason
    },
    with: () => logger,
  }
  const sandbox = await startSandbox({world, postgres, directory, clock, logger})
  return {
    sandbox,
    clock,
    client: (credentials) => {
      const endpoint = sandbox.environment.AWS_ENDPOINT_URL ?? ''
      return {endpoint, region, credentials, maxAttempts: 1}
    },
    keyOf: (user, account = home) => {
      const [key] = sandbox.world.accounts.get(account)?.users.get(user)?.accessKeys ?? []
      if (!key) throw new Error(`no key of ${user}`)
      return {accessKeyId: key[0], secretAccessKey: key[1].reveal()}
    },
    lastReason: () => lastReason,
    answered: (action) => actions.filter((one) => one === action).length,
    close: async () => {
      await sandbox.close()
      await rm(directory, {recursive: true})
    },
  }
}

/** Name, HTTP status and text of what an SDK threw. */
export async function failureOf(
  promise: Promise<unknown>,
): Promise<{name: string; status: number | undefined; message: string}> {
  try {
    await promise
  } catch (error) {
    const {name, message, $metadata} = error as Error & {readonly $metadata?: {readonly httpStatusCode?: number}}
    return {name, message, status: $metadata?.httpStatusCode}
  }
  throw new Error('nothing was refused')
}
