import {randomBytes} from 'node:crypto'
import {Secret} from '../core/secret.js'
import {startLocalProxy, type LocalProxy} from '../localproxy/local-proxy.js'
import {stablePort} from '../localproxy/stable-port.js'
import type {DatabaseSession} from './database-session.js'

export interface Tunnel {
  readonly proxy: LocalProxy
  /** Where the system cannot tell who connects, clients must know this. */
  readonly password: Secret | undefined
}

/**
 * A port on 127.0.0.1 and ::1 for this session's database: the given one, or the one that it always has.
 * @throws PosternError ALREADY_EXISTS when the port is taken
 */
export async function startTunnel(session: DatabaseSession, port: number | undefined): Promise<Tunnel> {
  const uid = process.getuid?.()
  const canTellPeers = process.platform === 'linux'
  const password = canTellPeers ? undefined : new Secret(randomBytes(18).toString('base64url'))
  const {cluster} = session.upstream
  const proxy = await startLocalProxy({
    listen: {kind: 'loopback', port: port ?? stablePort({uid, cluster, database: session.route.database})},
    source: session,
    onlyUid: canTellPeers ? uid : undefined,
    password,
    keepSpares: true,
  })
  return {proxy, password}
}
