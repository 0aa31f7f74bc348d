/**
 * Whom a database user name means. PostgreSQL takes a name letter by letter; Redshift folds it to lower case, and takes an
 * IAM role in its place: as `role/NAME`, as an ARN, on Redshift Serverless as the bare name too.
 */
import type {DatabaseType} from './endpoint.js'

export type DatabaseUser =
  | {readonly kind: 'name'; readonly name: string}
  | {
      readonly kind: 'role'
      /** With its path, without a slash in front. */
      readonly name: string
      /** Of an ARN; unknown for a name alone. */
      readonly account?: string
      readonly partition?: string
    }

/** Where the user would sign in. */
export interface UserScope {
  readonly type: DatabaseType
  /** The AWS account of the database, as far as it is known. */
  readonly account?: string | undefined
}

const roleArnForm = /^arn:(aws[a-z-]*):iam::(\d{12}):role\/(.+)$/
const rolePrefix = 'role/'

/** Upper-case ASCII letters in lower case: Redshift keeps other letters as they are. */
export const foldName = (name: string): string => name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())

const isRedshift = (type: DatabaseType): boolean => type === 'redshift' || type === 'redshift-serverless'

/**
 * Bytes of the longest name that the server tells apart: it takes a longer one for its beginning, and so for another
 * name than the one that was decided on (PostgreSQL manual 4.1.1; Redshift, "Names and identifiers").
 */
export const longestName = (type: DatabaseType): number => (isRedshift(type) ? 127 : 63)

export function readDatabaseUser(type: DatabaseType, text: string): DatabaseUser {
  if (!isRedshift(type)) return {kind: 'name', name: text}
  const [, partition, account, name] = roleArnForm.exec(text) ?? []
  if (partition && account && name) return {kind: 'role', partition, account, name}
  if (text.startsWith(rolePrefix)) return {kind: 'role', name: text.slice(rolePrefix.length)}
  return type === 'redshift-serverless' ? {kind: 'role', name: text} : {kind: 'name', name: foldName(text)}
}

/** The name of a database as the server compares it. */
export const readDatabaseName = (type: DatabaseType, text: string): string => (isRedshift(type) ? foldName(text) : text)

/** Whether two names certainly mean the same user: good enough to allow. */
export function isSameUser({type, account}: UserScope, one: string, other: string): boolean {
  const [a, b] = [readDatabaseUser(type, one), readDatabaseUser(type, other)]
  if (a.kind === 'name' || b.kind === 'name') return a.kind === b.kind && a.name === b.name
  const samePartition = !a.partition || !b.partition || a.partition === b.partition
  return a.name === b.name && (a.account ?? account) === (b.account ?? account) && samePartition
}

/** Whether two names may mean the same user: good enough to deny. IAM has no two roles that differ only in case. */
export function mayBeSameUser({type}: UserScope, one: string, other: string): boolean {
  const [a, b] = [readDatabaseUser(type, one), readDatabaseUser(type, other)]
  if (a.kind === 'name' || b.kind === 'name') return a.kind === b.kind && a.name === b.name
  const differ = a.account !== undefined && b.account !== undefined && a.account !== b.account
  return !differ && foldName(a.name) === foldName(b.name)
}
