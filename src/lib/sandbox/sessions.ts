import {randomBytes} from 'node:crypto'
import {Secret} from '../core/secret.js'
import {Fault} from './fault.js'
import {newId, newSecretKey} from './identities.js'
import {userPrincipal, type Principal, type Session, type SessionPrincipal} from './principal.js'
import type {SignatureClaim} from './sigv4.js'
import type {World} from './world.js'

/** Real tokens have hundreds of characters, and what truncates them must show. */
const tokenBytes = 600

/** Issues temporary credentials. @param lifetime milliseconds. */
export function issueSession(world: World, principal: SessionPrincipal, lifetime: number): Session {
  const session = {
    accessKeyId: newId('ASIA'),
    secretKey: newSecretKey(),
    token: new Secret(randomBytes(tokenBytes).toString('base64')),
    expires: world.now() + lifetime,
    principal,
  }
  world.sessions.set(session.accessKeyId, session)
  return session
}

/** Whose access key it is; the signature is the caller's to check. */
export interface KeyHolder {
  readonly principal: Principal
  readonly secretKey: Secret
}

const invalidToken = (): Fault =>
  new Fault('InvalidClientTokenId', 403, 'The security token included in the request is invalid.')

/** @throws Fault InvalidClientTokenId for an unknown key or a wrong token, ExpiredToken for an old one. */
export function findKeyHolder(world: World, {accessKeyId, sessionToken}: SignatureClaim): KeyHolder {
  const session = world.sessions.get(accessKeyId)
  if (session) {
    if (sessionToken !== session.token.reveal()) throw invalidToken()
    if (world.now() >= session.expires) {
      throw new Fault('ExpiredToken', 403, 'The security token included in the request is expired')
    }
    return session
  }
  for (const {users} of world.accounts.values()) {
    for (const user of users.values()) {
      const secretKey = user.accessKeys.get(accessKeyId)
      if (secretKey && sessionToken === undefined) return {principal: userPrincipal(user), secretKey}
    }
  }
  throw invalidToken()
}
