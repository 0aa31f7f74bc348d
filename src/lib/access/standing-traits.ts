import type {Traits} from './template.js'

/**
 * The traits that count: what the certificate says, as far as the user still has it. So what is taken from a user is gone
 * at once, and what is given comes with the next login, as with roles.
 */
export function standingTraits(certified: Traits, held: Traits): Record<string, string[]> {
  const standing = Object.entries(certified).flatMap(([name, values]) => {
    const current = Object.hasOwn(held, name) ? (held[name] ?? []) : []
    const kept = values.filter((value) => current.includes(value))
    return kept.length > 0 ? [[name, kept] as const] : []
  })
  return Object.fromEntries(standing)
}
