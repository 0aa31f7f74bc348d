import type {Token} from './token.js'

/** A token's name without its secret. */
export function shownName({metadata: {name}, spec}: Pick<Token, 'metadata' | 'spec'>): string {
  return spec.join_method === 'iam' ? name : maskToken(name)
}

/** Stars, and at most the last eight characters: enough to tell tokens apart, too little to join with. */
export function maskToken(token: string): string {
  const shown = Math.min(8, Math.floor(token.length / 4))
  return '*'.repeat(token.length - shown) + token.slice(token.length - shown)
}

/** The token with its name masked, where that is its secret. */
export function withoutSecret(token: Token): Token {
  return {...token, metadata: {...token.metadata, name: shownName(token)}}
}
