import {connect} from 'node:net'
import {isDeepStrictEqual} from 'node:util'
import {compileMatch} from '../access/health-check-match.js'
import type {Clock} from '../core/clock.js'
import {messageOf} from '../core/errors.js'
import type {Labels} from '../core/labels.js'
import type {Logger} from '../core/log.js'
import {afterRunning} from '../core/running-time.js'
import type {TargetHealth} from '../resources/database-server.js'
import {policyOf, type HealthCheckConfig, type HealthPolicy} from '../resources/health-check-config.js'
import type {Served} from './catalog.js'
import {resolveTarget, type TargetRules} from './target-address.js'

export interface HealthOptions extends TargetRules {
  readonly clock: Clock
  readonly logger: Logger
  /** The status of a database changed. */
  readonly onChange: () => void
}

/** Share of the interval by which checks are spread. */
const jitter = 1 / 7
const maximumError = 1024

/** Which databases a configuration is for, and what it says. */
interface Rule {
  readonly matches: (labels: Labels) => boolean
  readonly policy: HealthPolicy
}

/** The health checks of all databases that this agent serves, as the control plane configures them. */
export class HealthChecks {
  readonly #options: HealthOptions
  readonly #checks = new Map<string, HealthCheck>()
  /** In the order of their names; undefined until the control plane has told them. */
  #rules: readonly Rule[] | undefined
  #configurations: readonly HealthCheckConfig[] = []

  constructor(options: HealthOptions) {
    this.#options = options
  }

  /** Takes up the control plane's configurations, by name. */
  configure(configurations: ReadonlyMap<string, HealthCheckConfig>): void {
    const sorted = [...configurations.values()].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    if (this.#rules && isDeepStrictEqual(sorted, this.#configurations)) return
    this.#configurations = sorted
    this.#rules = sorted.flatMap((configuration) => this.#compile(configuration))
    for (const check of this.#checks.values()) check.apply(this.#policyFor(check.labels))
  }

  /** Begins to check a database, anew if its definition changed. */
  start(served: Served): void {
    const {name} = served.database.metadata
    this.forget(name)
    const check = new HealthCheck(served, this.#options)
    this.#checks.set(name.toLowerCase(), check)
    if (this.#rules) check.apply(this.#policyFor(check.labels))
  }

  /** Takes up other labels of a database that is checked already. */
  update(served: Served): void {
    const check = this.#checks.get(served.database.metadata.name.toLowerCase())
    if (!check) return
    check.labels = labelsOf(served)
    if (this.#rules) check.apply(this.#policyFor(check.labels))
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

  #policyFor(labels: Labels): HealthPolicy | undefined {
    return this.#rules?.find(({matches}) => matches(labels))?.policy
  }

  /** What a newer control plane understands and this agent does not must not end the checks of others. */
  #compile(configuration: HealthCheckConfig): Rule[] {
    try {
      return [{matches: compileMatch(configuration), policy: policyOf(configuration)}]
    } catch (error) {
      const {name} = configuration.metadata
      this.#options.logger.warn('A health check configuration is not usable.', {name, reason: messageOf(error)})
      return []
    }
  }
}

const noStreak = {passed: false, length: 0} as const

const labelsOf = ({database}: Served): Labels => database.metadata.labels ?? {}

/** Whether a database can be reached over TCP from here, tried again and again. */
class HealthCheck {
  labels: Labels
  readonly #served: Served
  readonly #options: HealthOptions
  #health: TargetHealth
  #policy: HealthPolicy | undefined
  /** No policy was decided on yet. */
  #isNew = true
  /** Results of the same kind in a row, and the error of the last one. */
  #streak: {readonly passed: boolean; readonly length: number; readonly error?: string | undefined} = noStreak
  #timer: NodeJS.Timeout | undefined
  /** Counted up by whatever makes a running check meaningless. */
  #generation = 0

  constructor(served: Served, options: HealthOptions) {
    this.#served = served
    this.#options = options
    this.labels = labelsOf(served)
    this.#health = {...this.#unknown(), transition_reason: 'initialized'}
  }

  get health(): TargetHealth {
    return this.#health
  }

  /** How to check from here on; not at all without a policy. Checks that are switched on later begin somewhere within the interval. */
  apply(policy: HealthPolicy | undefined): void {
    const [before, isNew] = [this.#policy, this.#isNew]
    if (isDeepStrictEqual(before, policy) && !isNew) return
    this.#policy = policy
    this.#isNew = false
    if (!policy) {
      this.stop()
      this.#streak = noStreak
      this.#become({...this.#unknown(), transition_reason: 'disabled'})
    } else if (!before) {
      this.#become({...this.#unknown(), transition_reason: 'initialized'})
      if (isNew) void this.#check(policy)
      else this.#wait(policy, policy.intervalMilliseconds * Math.random())
    } else {
      // A lower threshold may be reached already; the next check comes at the new pace.
      if (this.#streak.length > 0) this.#judge(policy)
      this.#wait(policy, policy.intervalMilliseconds * (1 - jitter * Math.random()))
    }
  }

  stop(): void {
    this.#generation++
    clearTimeout(this.#timer)
  }

  async #check(policy: HealthPolicy): Promise<void> {
    const generation = ++this.#generation
    const error = await this.#try(policy)
    if (generation !== this.#generation) return
    const passed = error === undefined
    this.#streak = {passed, length: this.#streak.passed === passed ? this.#streak.length + 1 : 1, error}
    this.#judge(policy)
    this.#wait(policy, policy.intervalMilliseconds * (1 - jitter * Math.random()))
  }

  #wait(policy: HealthPolicy, milliseconds: number): void {
    this.stop()
    this.#timer = setTimeout(() => {
      void this.#check(policy)
    }, milliseconds)
    this.#timer.unref()
  }

  /** What went wrong; undefined when every address of the database answered. */
  async #try({timeoutMilliseconds}: HealthPolicy): Promise<string | undefined> {
    try {
      const target = await resolveTarget(this.#served, this.#options)
      await Promise.all(target.addresses.map(({address}) => tryConnect(address, target.dialPort, timeoutMilliseconds)))
      return undefined
    } catch (error) {
      return messageOf(error).slice(0, maximumError)
    }
  }

  /** The first check decides at once; later ones when the streak reaches its threshold. */
  #judge(policy: HealthPolicy): void {
    const {passed, length, error} = this.#streak
    const threshold = passed ? policy.healthyThreshold : policy.unhealthyThreshold
    const status = passed ? 'healthy' : 'unhealthy'
    if (status === this.#health.status) return
    if (this.#health.status !== 'unknown' && length < threshold) return
    this.#become({
      ...this.#unknown(),
      status,
      transition_reason: 'threshold_reached',
      ...(error !== undefined && {transition_error: error}),
      message: `${length} health check${length === 1 ? '' : 's'} ${passed ? 'passed' : 'failed'}`,
    })
  }

  #become(health: TargetHealth): void {
    const isSame = health.status === this.#health.status && health.transition_reason === this.#health.transition_reason
    if (isSame) return
    this.#health = health
    this.#options.onChange()
  }

  #unknown(): Omit<TargetHealth, 'transition_reason'> {
    return {
      address: this.#served.database.spec.uri,
      protocol: 'TCP',
      status: 'unknown',
      transition_timestamp: this.#timestamp(),
    }
  }

  #timestamp(): string {
    return new Date(this.#options.clock.now()).toISOString()
  }
}

function tryConnect(host: string, port: number, timeout: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({host, port})
    const forget = afterRunning(timeout, () => {
      socket.destroy(new Error(`no answer from ${host}:${port} within ${timeout} ms`))
    })
    socket.once('error', reject)
    socket.once('close', forget)
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
  })
}
