import {randomInt} from 'node:crypto'
import type {Subject} from '../access/decision.js'
import {viewOf} from '../access/listing.js'
import type {z} from 'zod'
import type {databaseCertificateRequest} from '../api/requests.js'
import type {DatabaseAgent, DatabaseCertificateResponse, VisibleDatabase} from '../api/responses.js'
import {PosternError} from '../core/errors.js'
import type {Database} from '../resources/database.js'
import {healthStatuses, type DatabaseServer} from '../resources/database-server.js'
import {classifyDatabase} from '../resources/endpoint.js'
import type {AuditLog} from './audit-log.js'
import {actorFields, type UserCaller} from './caller.js'
import type {CertificateIssuer} from './certificate-issuer.js'
import type {Stores} from './stores.js'

export interface DatabaseAccessOptions {
  readonly stores: Stores
  readonly issuer: CertificateIssuer
  readonly audit: AuditLog
}

/**
 * What users see of databases, and the certificates that carry them there. Who may connect as which database user is
 * decided by the agent, with the roles of that moment; here a database that nobody lets the user see does not exist.
 */
export class DatabaseAccess {
  readonly #options: DatabaseAccessOptions

  constructor(options: DatabaseAccessOptions) {
    this.#options = options
  }

  /** Databases that some agent serves and a role lets the user see, by name. */
  async visible(caller: UserCaller): Promise<{readonly databases: readonly VisibleDatabase[]}> {
    const byName = new Map<string, DatabaseServer[]>()
    // In the order of their keys, so that the agents of a database come together and the names sorted.
    for (const {value} of await this.#options.stores.databaseServers.list()) {
      const {name} = value.metadata
      const servers = byName.get(name)
      if (servers) servers.push(value)
      else byName.set(name, [value])
    }
    const view = viewOf(subjectOf(caller), caller.definitions)
    return {
      databases: [...byName.values()].flatMap((servers) => {
        const [best] = servers.toSorted(byHealth)
        const seen = best && view(best.spec.database.metadata.labels ?? {})
        if (!best || !seen) return []
        const {database} = best.spec
        return [{database, type: classifyDatabase(database.spec).type, ...seen, health: healthOf(best)}]
      }),
    }
  }

  /**
   * A certificate for one database, as one database user, and the agents that serve it.
   * @throws PosternError NOT_FOUND when the user does not see the database, UNREACHABLE when no agent serves it
   */
  async certificate(
    request: z.infer<typeof databaseCertificateRequest>,
    caller: UserCaller,
  ): Promise<DatabaseCertificateResponse> {
    const {stores, issuer, audit} = this.#options
    const servers = await stores.serversOf(request.database)
    const database = await this.#seen(request.database, servers, caller)
    if (servers.length === 0) {
      throw new PosternError('UNREACHABLE', `No agent serves the database "${database.metadata.name}" at the moment.`, {
        hint: 'Check that an agent runs whose db_service selects it by its labels.',
      })
    }
    const {name, roles, traits} = caller
    const {loginExpires} = caller.identity
    const route = {
      database: database.metadata.name,
      protocol: database.spec.protocol,
      dbUser: request.dbUser,
      dbName: request.dbName,
      dbRoles: request.dbRoles,
    }
    const {certificate, expires} = await issuer.user(
      {kind: 'user', usage: 'db', user: name, roles: [...roles], traits, route, loginExpires},
      request.publicKey,
      Date.parse(loginExpires),
      caller.user.status?.certs_valid_from,
    )
    await audit.append('cert.create', {
      ...actorFields(caller),
      cert_type: 'user',
      identity: {
        user: name,
        roles,
        traits,
        expires,
        usage: ['db'],
        route_to_database: {
          service_name: route.database,
          protocol: route.protocol,
          username: route.dbUser,
          database: route.dbName,
          ...(route.dbRoles.length > 0 ? {roles: route.dbRoles} : {}),
        },
      },
      certificate_authority: {type: 'user', domain: issuer.cluster},
    })
    return {certificate, expires, route, agents: orderAgents(servers)}
  }

  /** The database with this name, as far as the user sees it. */
  async #seen(name: string, servers: readonly DatabaseServer[], caller: UserCaller): Promise<Database> {
    const declared = await this.#options.stores.databases.get(name.toLowerCase())
    const candidates = [...servers.map(({spec}) => spec.database), ...(declared ? [declared.value] : [])]
    const view = viewOf(subjectOf(caller), caller.definitions)
    const seen = candidates.find(({metadata}) => view(metadata.labels ?? {}))
    if (seen) return seen
    throw notVisible(name)
  }
}

/** The same for a database that does not exist. */
export function notVisible(name: string): PosternError {
  return new PosternError('NOT_FOUND', `There is no database "${name}" that you may see.`, {
    hint: 'List your databases with `postern db ls`.',
  })
}

/** A user as decisions see them. */
export function subjectOf({name, roles, traits}: UserCaller): Subject {
  return {user: name, roles, traits}
}

/** Healthy ones first, then unknown, then unhealthy; equals in random order, so that they share the load. */
export function orderAgents(servers: readonly DatabaseServer[]): DatabaseAgent[] {
  return shuffle(servers)
    .sort(byHealth)
    .map((server) => {
      const {host_id: hostId, direct_addr: directAddress} = server.spec
      return {hostId, health: healthOf(server), ...(directAddress === undefined ? {} : {directAddress})}
    })
}

const healthOf = ({status}: DatabaseServer): DatabaseAgent['health'] => status.target_health.status

function byHealth(one: DatabaseServer, other: DatabaseServer): number {
  return healthStatuses.indexOf(healthOf(one)) - healthStatuses.indexOf(healthOf(other))
}

/** Fisher and Yates. */
function shuffle<T>(list: readonly T[]): T[] {
  const rest = [...list]
  const shuffled: T[] = []
  while (rest.length > 0) shuffled.push(...rest.splice(randomInt(rest.length), 1))
  return shuffled
}
