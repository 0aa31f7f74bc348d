import {connect} from 'node:net'
import type {Clock} from '../core/clock.js'
import {messageOf} from '../core/errors.js'
import type {TargetHealth} from '../resources/database-server.js'
import type {Served} from './catalog.js'
import {resolveTarget, type TargetRules} from './target-address.js'

/** How often and how patiently a database is tried. */
export interface HealthPolicy {
  readonly intervalMilliseconds: number
  readonly timeoutMilliseconds: number
  /** Passes in a row that make a database healthy, failures in a row that make it unhealthy. */
  readonly healthyThreshold: number
  readonly unhealthyThreshold: number
}

export const defaultHealthPolicy: HealthPolicy = {
  intervalMilliseconds: 30_000,
  timeoutMilliseconds: 5000,
  healthyThreshold: 2,
  unhealthyThreshold: 1,
}

export interface HealthOptions extends TargetRules {
  readonly policy: HealthPolicy
  readonly clock: Clock
  /** The status of a database changed. */
  readonly onChange: () => void
}

/** Share of the interval by which checks are spread. */
const jitter = 1 / 7
const maximumError = 1024

/** The health checks of all databases that this agent serves. */
export class HealthChecks {
  readonly #options: HealthOptions
  readonly #checks = new Map<string, HealthCheck>()

  constructor(options: HealthOptions) {
    this.#options = options
  }

  /** Begins to check a database, anew if its definition changed. */
  start(served: Served): void {
    const {name} = served.database.metadata
    this.forget(name)
    this.#checks.set(name.toLowerCase(), new HealthCheck(served, this.#options))
  }

  forget(name: string): void {
    this.#checks.get(name.toLowerCase())?.stop()
    this.#checks.delete(name.toLowerCase())
  }

  /** The health of a database that `start` was called for. */
  of(name: string): TargetHealth {
    const check = this.#checks.get(name.toLowerCase())
    if (!check) throw new Error(`the database "${name}" is not checked`)
    return check.health
  }

  stop(): void {
    for (const check of this.#checks.values()) check.stop()
  }
}

/** Whether a database can be reached over TCP from here, tried again and again. */
class HealthCheck {
  readonly #served: Served
  readonly #options: HealthOptions
  #health: TargetHealth
  #streak = {passed: false, length: 0}
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(served: Served, options: HealthOptions) {
    this.#served = served
    this.#options = options
    this.#health = {
      address: served.database.spec.uri,
      protocol: 'TCP',
      status: 'unknown',
      transition_timestamp: this.#timestamp(),
      transition_reason: 'initialized',
    }
    void this.#check()
  }

  get health(): TargetHealth {
    return this.#health
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  async #check(): Promise<void> {
    const error = await this.#try()
    if (this.#stopped) return
    this.#judge(error)
    const {intervalMilliseconds} = this.#options.policy
    this.#timer = setTimeout(
      () => {
        void this.#check()
      },
      intervalMilliseconds * (1 - jitter * Math.random()),
    )
    this.#timer.unref()
  }

  /** What went wrong; undefined when every address of the database answered. */
  async #try(): Promise<string | undefined> {
    try {
      const target = await resolveTarget(this.#served, this.#options)
      await Promise.all(
        target.addresses.map(({address}) =>
          tryConnect(address, target.dialPort, this.#options.policy.timeoutMilliseconds),
        ),
      )
      return undefined
    } catch (error) {
      return messageOf(error).slice(0, maximumError)
    }
  }

  /** The first check decides at once; later ones when the streak reaches its threshold. */
  #judge(error: string | undefined): void {
    const {policy, onChange} = this.#options
    const passed = error === undefined
    this.#streak = {passed, length: this.#streak.passed === passed ? this.#streak.length + 1 : 1}
    const threshold = passed ? policy.healthyThreshold : policy.unhealthyThreshold
    const status = passed ? 'healthy' : 'unhealthy'
    if (status === this.#health.status) return
    if (this.#health.status !== 'unknown' && this.#streak.length < threshold) return
    const {length} = this.#streak
    this.#health = {
      address: this.#health.address,
      protocol: 'TCP',
      status,
      transition_timestamp: this.#timestamp(),
      transition_reason: 'threshold_reached',
      ...(error !== undefined && {transition_error: error}),
      message: `${length} health check${length === 1 ? '' : 's'} ${passed ? 'passed' : 'failed'}`,
    }
    onChange()
  }

  #timestamp(): string {
    return new Date(this.#options.clock.now()).toISOString()
  }
}

function tryConnect(host: string, port: number, timeout: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({host, port})
    const timer = setTimeout(() => {
      socket.destroy(new Error(`no answer from ${host}:${port} within ${timeout} ms`))
    }, timeout)
    socket.once('error', reject)
    socket.once('close', () => {
      clearTimeout(timer)
    })
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
  })
}
