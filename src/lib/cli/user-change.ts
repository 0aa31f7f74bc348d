import type {ApiClient} from '../api/client.js'
import {PosternError} from '../core/errors.js'
import type {User} from '../resources/user.js'

/** Lists that take the place of the user's own; undefined leaves one as it is, an empty one empties it. */
export interface UserChange {
  readonly roles: readonly string[] | undefined
  readonly traits: Readonly<Record<string, readonly string[] | undefined>>
}

/** In the order in which they are told. */
const nouns: Readonly<Record<string, string>> = {
  db_users: 'database users',
  db_names: 'database names',
  db_roles: 'database roles',
  logins: 'logins',
}

/** Somebody else may change the same user; more often than this in a row is somebody's loop. */
const attempts = 5

/**
 * Changes what is named and nothing else, whatever others change at the same time.
 * @returns the user as it is now
 * @throws PosternError USAGE when nothing is named, NOT_FOUND, INVALID, CONFLICT
 */
export async function changeUser(client: ApiClient, name: string, change: UserChange): Promise<User> {
  if (changedLists(change).length === 0) {
    throw new PosternError('USAGE', 'There is nothing to change.', {hint: 'Give at least one --set flag.'})
  }
  if (change.traits.db_roles?.includes('*')) {
    throw new PosternError('USAGE', 'A database role must be named: it cannot be "*".')
  }
  for (let attempt = 1; ; attempt += 1) {
    const current = await getUser(client, name)
    try {
      await client.putResource(applied(current, change))
      return await getUser(client, name)
    } catch (error) {
      const isOvertaken = error instanceof PosternError && error.code === 'CONFLICT'
      if (!isOvertaken || attempt === attempts) throw error
    }
  }
}

/** What was changed, a line for each list. */
export function renderUserChange(name: string, change: UserChange): string {
  const lines = changedLists(change).map(([noun, values]) => `\tNew ${noun}: ${values.join(',') || '(none)'}`)
  return [`User ${name} has been updated:`, ...lines].join('\n')
}

function changedLists({roles, traits}: UserChange): [noun: string, values: readonly string[]][] {
  const lists = [['roles', roles] as const, ...Object.entries(nouns).map(([key, noun]) => [noun, traits[key]] as const)]
  return lists.flatMap(([noun, values]) => (values ? [[noun, withoutEmpty(values)]] : []))
}

/** `--set-db-users=` is a list of one empty text to the parser. */
const withoutEmpty = (values: readonly string[]): string[] => values.filter(Boolean)

async function getUser(client: ApiClient, name: string): Promise<User> {
  const {items} = await client.getResource('user', name)
  const [user] = items
  if (!user) throw new PosternError('NOT_FOUND', `There is no user "${name}".`)
  return user
}

function applied(user: User, {roles, traits}: UserChange): User {
  const changed = Object.entries(traits).flatMap(([key, values]) => (values ? [[key, withoutEmpty(values)]] : []))
  const merged = {...user.spec.traits, ...(Object.fromEntries(changed) as Record<string, string[]>)}
  const kept = Object.fromEntries(Object.entries(merged).filter(([, values]) => values.length > 0))
  return {...user, spec: {...user.spec, traits: kept, ...(roles ? {roles: withoutEmpty(roles)} : {})}}
}
