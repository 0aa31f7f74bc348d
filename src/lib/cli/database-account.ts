import type {VisibleDatabase} from '../api/responses.js'
import {PosternError} from '../core/errors.js'
import {defaultDatabaseName, type DatabaseType} from '../resources/endpoint.js'

/** Database user and database name, with what the user should be told about how they were found. */
export interface DatabaseAccount {
  readonly dbUser: string
  readonly dbName: string
  readonly notices: readonly string[]
}

interface Wish {
  readonly dbUser?: string | undefined
  readonly dbName?: string | undefined
}

/** Fills in what the user left out. @throws PosternError USAGE or ACCESS_DENIED */
export function chooseAccount(database: VisibleDatabase, wish: Wish): DatabaseAccount {
  const dbUser = wish.dbUser ?? onlyUser(database)
  if (wish.dbName !== undefined) return {dbUser, dbName: wish.dbName, notices: []}
  const dbName = defaultName(database, dbUser)
  return {dbUser, dbName, notices: [`Using database name "${dbName}"; --db-name chooses another.`]}
}

function onlyUser({database, users}: VisibleDatabase): string {
  const {name} = database.metadata
  const [first, ...others] = users.allowed
  if (first === undefined) {
    throw new PosternError('ACCESS_DENIED', `None of your roles allows a database user of "${name}".`, {
      hint: 'Ask an administrator to set your db_users, or those of one of your roles.',
    })
  }
  if (first !== '*' && others.length === 0) return first
  throw new PosternError('USAGE', `Which database user for "${name}"? Allowed: ${describeNames(users)}.`, {
    hint: 'Name it with --db-user.',
  })
}

/** The only name that is allowed, else the one that this type of database starts with, else the user's, as psql does. */
function defaultName({database, type, names}: VisibleDatabase, dbUser: string): string {
  const [first, ...others] = names.allowed
  if (first === undefined) {
    throw new PosternError(
      'ACCESS_DENIED',
      `None of your roles allows a database name on "${database.metadata.name}".`,
      {
        hint: 'Ask an administrator to set your db_names, or those of one of your roles.',
      },
    )
  }
  if (first !== '*' && others.length === 0) return first
  const usual = defaultDatabaseName(type as DatabaseType)
  return usual !== undefined && isAllowed(names, usual) ? usual : dbUser
}

function isAllowed({allowed, denied}: VisibleDatabase['names'], name: string): boolean {
  return allowed.includes(name) || (allowed.includes('*') && !denied.includes(name))
}

/** `any`, `alice or bob`, `any except postgres`. */
function describeNames({allowed, denied}: VisibleDatabase['users']): string {
  if (!allowed.includes('*')) return allowed.join(' or ')
  return denied.length > 0 ? `any except ${denied.join(', ')}` : 'any'
}
