import {createHash} from 'node:crypto'
import type {Secret} from '../core/secret.js'

function md5(...parts: readonly (string | Buffer)[]): string {
  const hash = createHash('md5')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

/** The answer to AuthenticationMD5Password: `md5` + md5(md5(password + user) + salt) (PostgreSQL documentation, "Start-up"). */
export function md5Password(user: string, password: Secret, salt: Buffer): string {
  return `md5${md5(md5(password.reveal(), user), salt)}`
}
