import {PosternError} from '../core/errors.js'

/** Resources that administrators read and write; light on purpose, so that commands need no schema to name a kind. */
export const kinds = [
  'role',
  'user',
  'token',
  'db',
  'db_server',
  'lock',
  'health_check_config',
  'session_recording_config',
  'cluster_networking_config',
  'cluster_auth_preference',
] as const
export type Kind = (typeof kinds)[number]

/** Kinds of which a cluster has exactly one, with its name: where none is stored, the defaults hold. */
export const singletonNames = {
  session_recording_config: 'session-recording-config',
  cluster_networking_config: 'cluster-networking-config',
  cluster_auth_preference: 'cluster-auth-preference',
} as const
export type SingletonKind = keyof typeof singletonNames
export const singletonKinds = kinds.filter(isSingleton)

export function isSingleton(kind: Kind): kind is SingletonKind {
  return Object.hasOwn(singletonNames, kind)
}

const aliases: Readonly<Record<string, Kind>> = {
  roles: 'role',
  users: 'user',
  tokens: 'token',
  provision_token: 'token',
  dbs: 'db',
  database: 'db',
  databases: 'db',
  db_servers: 'db_server',
  database_server: 'db_server',
  database_servers: 'db_server',
  locks: 'lock',
  health_check_configs: 'health_check_config',
  src: 'session_recording_config',
  netconfig: 'cluster_networking_config',
  cap: 'cluster_auth_preference',
}

/** What people call a kind in sentences. */
export const kindNouns: Readonly<Record<Kind, string>> = {
  role: 'role',
  user: 'user',
  token: 'token',
  db: 'database',
  db_server: 'database server',
  lock: 'lock',
  health_check_config: 'health check configuration',
  session_recording_config: 'session recording config',
  cluster_networking_config: 'cluster networking config',
  cluster_auth_preference: 'cluster auth preference',
}

/** @throws PosternError USAGE when the word names no kind. */
export function parseKind(word: string): Kind {
  const lower = word.toLowerCase()
  const kind =
    kinds.find((candidate) => candidate === lower) ?? (Object.hasOwn(aliases, lower) ? aliases[lower] : undefined)
  if (kind) return kind
  throw new PosternError('USAGE', `"${word}" is not a kind of resource.`, {hint: `Kinds: ${kinds.join(', ')}.`})
}

export interface Reference {
  readonly kind: Kind
  readonly name?: string
}

/** `kind` or `kind/name`. @throws PosternError USAGE */
export function parseReference(text: string): Reference {
  const slash = text.indexOf('/')
  if (slash < 0) return {kind: parseKind(text)}
  const name = text.slice(slash + 1)
  return {kind: parseKind(text.slice(0, slash)), ...(name ? {name} : {})}
}

/** Kinds that a file can create, in an order in which none needs a later one: agents announce the others. */
export const creatableKinds = kinds.filter((kind) => kind !== 'db_server')

/** `kind`, `kind/name`, several of them separated by commas, or `all`: every kind that can be created. @throws PosternError USAGE */
export function parseReferences(text: string): readonly Reference[] {
  if (text.toLowerCase() === 'all') return creatableKinds.map((kind) => ({kind}))
  return text.split(',').map((each) => parseReference(each.trim()))
}

/** `kind/name`; the kind alone where there is only one. @throws PosternError USAGE */
export function parseNamed(text: string): Required<Reference> {
  const {kind, name} = parseReference(text)
  if (name !== undefined) return {kind, name}
  if (isSingleton(kind)) return {kind, name: singletonNames[kind]}
  throw new PosternError('USAGE', 'The name of the resource is missing.', {
    hint: `Write it as ${kind}/NAME; \`postern get ${kind}\` lists them.`,
  })
}
