import {createHash} from 'node:crypto'

const idCharacters = 32

/**
 * The name under which proxy and agent tell the control plane of one data connection, so that the two can be compared. It is
 * a hash of the nonce: nonces themselves are secrets of the two.
 */
export function connectionId(nonce: string): string {
  return createHash('sha256').update(`postern connection\n${nonce}`).digest('hex').slice(0, idCharacters)
}
