/** Server names that route a TLS connection. They are not DNS names: clients dial the proxy and put the route in SNI. */

/** What the ClientHello's server name asks for. */
export type Route =
  | {readonly kind: 'agent'; readonly hostId: string}
  | {readonly kind: 'database'; readonly database: string}
  | {readonly kind: 'tunnel'}
  /** The API with client certificates. */
  | {readonly kind: 'auth'}
  /** The public name, or no name: the web endpoint. */
  | {readonly kind: 'web'}

const agentSuffix = (cluster: string): string => `.agent.${cluster}`
const databaseSuffix = (cluster: string): string => `.db.${cluster}`

export const agentServerName = (hostId: string, cluster: string): string => `${hostId}${agentSuffix(cluster)}`
export const databaseServerName = (database: string, cluster: string): string =>
  `${database.toLowerCase()}${databaseSuffix(cluster)}`
export const tunnelServerName = (cluster: string): string => `tunnel.${cluster}`
export const authServerName = (cluster: string): string => `auth.${cluster}`

/** Server names are `<host id>.agent.<cluster>` and the like, and at most 253 characters long (RFC 1035 §2.3.4). */
const clusterNameForm = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$/
const maximumClusterName = 180

export const isClusterName = (name: string): boolean => clusterNameForm.test(name) && name.length <= maximumClusterName

/** ASCII only: toLowerCase() alone would also fold characters that DNS does not. */
const foldCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())

/** The route of a server name; ASCII case does not matter. */
export function parseRoute(serverName: string | undefined, clusterName: string): Route {
  const name = foldCase(serverName ?? '')
  const cluster = foldCase(clusterName)
  if (name === authServerName(cluster)) return {kind: 'auth'}
  if (name === tunnelServerName(cluster)) return {kind: 'tunnel'}
  const before = (suffix: string): string | undefined =>
    name.endsWith(suffix) && !name.slice(0, -suffix.length).includes('.') ? name.slice(0, -suffix.length) : undefined
  const hostId = before(agentSuffix(cluster))
  if (hostId) return {kind: 'agent', hostId}
  const database = before(databaseSuffix(cluster))
  if (database) return {kind: 'database', database}
  return {kind: 'web'}
}
