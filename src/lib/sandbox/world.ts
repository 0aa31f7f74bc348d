/** The state of a set of fake AWS accounts, which the fake services read and change. Tests may change it too, at any time. */
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import {createDatabases} from './database-building.js'
import type {Databases, RedshiftCredential} from './databases.js'
import type {AccountDefinition, AgentDefinition, WorldDefinition} from './definition.js'
import {createIdentities, type Identities, type ManagedPolicy, type Role} from './identities.js'
import type {Session} from './principal.js'

export interface Account extends Identities, Databases {
  readonly id: string
}

/** The services that can be out of order. */
export type ServiceName = 'sts' | 'iam' | 'rds' | 'redshift' | 'redshift-serverless' | 'metadata' | 'databases'

/** How badly the fake AWS behaves; good behaviour is the default. */
export interface Switches {
  /** Milliseconds until a change of a policy takes effect. */
  propagationDelay: number
  /** Milliseconds that AWS's clock is ahead of the agent's. */
  clockSkew: number
  /** API requests answered per second and action; more are throttled. */
  requestsPerSecond: number
  /** IAM sign-ins per second and database endpoint; more are refused. */
  signInsPerSecond: number
  /** Milliseconds before each API answer. */
  answerDelay: number
  /** Services that fail every request. */
  readonly outages: Set<ServiceName>
}

export interface World {
  readonly accounts: ReadonlyMap<string, Account>
  readonly agent: AgentDefinition | undefined
  readonly switches: Switches
  /** By access key id. */
  readonly sessions: Map<string, Session>
  readonly redshiftCredentials: Set<RedshiftCredential>
  /** AWS's time, milliseconds since 1970. */
  now(): number
  /** Monotonic milliseconds, for rates. */
  monotonic(): number
}

/**
 * A world from its definition.
 * @throws PosternError INVALID when a policy is none, or when the agent's identity is not in the world.
 */
export function createWorld(definition: WorldDefinition, clock: Clock): World {
  const switches: Switches = {
    propagationDelay: 0,
    clockSkew: 0,
    requestsPerSecond: Infinity,
    signInsPerSecond: Infinity,
    answerDelay: 0,
    outages: new Set(),
  }
  const accounts = definition.accounts.map((account): [string, Account] => [account.id, createAccount(account, clock)])
  const world: World = {
    accounts: new Map(accounts),
    agent: definition.agent,
    switches,
    sessions: new Map(),
    redshiftCredentials: new Set(),
    now: () => clock.now() + switches.clockSkew,
    monotonic: () => clock.monotonic(),
  }
  checkAgent(world)
  return world
}

function createAccount(definition: AccountDefinition, clock: Clock): Account {
  return {id: definition.id, ...createIdentities(definition, clock.now()), ...createDatabases(definition)}
}

function checkAgent({agent, accounts}: World): void {
  if (!agent) return
  const account = accounts.get(agent.account)
  const exists = agent.kind === 'access-key' ? account?.users.has(agent.user) : account?.roles.has(agent.role)
  if (!exists) throw new PosternError('INVALID', "The agent's identity is not among the sandbox's accounts.")
}

/** When a change of a policy made now takes effect. */
export function effectiveTime(world: World): number {
  return world.now() + world.switches.propagationDelay
}

/** The role with this ARN, in whichever account. */
export function findRole(world: World, arn: string): Role | undefined {
  const account = world.accounts.get(arn.split(':')[4] ?? '')
  const role = account?.roles.get(arn.split('/').at(-1) ?? '')
  return role?.arn === arn ? role : undefined
}

export function findPolicy(world: World, arn: string): ManagedPolicy | undefined {
  return world.accounts.get(arn.split(':')[4] ?? '')?.policies.get(arn)
}
