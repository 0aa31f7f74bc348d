import {randomBytes} from 'node:crypto'
import {Secret} from '../core/secret.js'
import type {RedshiftCredential} from './databases.js'
import type {World} from './world.js'

export type RedshiftGrant = Omit<RedshiftCredential, 'password' | 'expires'>

/** Issues a password of as many random bytes, in base64. @param lifetime milliseconds. */
export function issueCredential(
  world: World,
  grant: RedshiftGrant,
  bytes: number,
  lifetime: number,
): RedshiftCredential {
  const password = new Secret(randomBytes(bytes).toString('base64'))
  const credential = {...grant, password, expires: world.now() + lifetime}
  for (const old of world.redshiftCredentials) if (world.now() >= old.expires) world.redshiftCredentials.delete(old)
  world.redshiftCredentials.add(credential)
  return credential
}

/** Redshift folds names to lower case, as it keeps them. */
export const foldName = (name: string): string => name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())

/** The database's own name of the user: an identity's stands for itself, others are ordinary users behind the prefix. */
export function realUserOf({dbUser, autoCreate}: RedshiftCredential): string {
  const [prefix = '', ...rest] = dbUser.split(':')
  const isIdentity = autoCreate && prefix !== 'IAMA'
  return isIdentity ? dbUser : foldName(rest.join(':'))
}
