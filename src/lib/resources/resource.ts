import type {z} from 'zod'
import {PosternError} from '../core/errors.js'
import {databaseServerSchema, type DatabaseServer} from './database-server.js'
import {databaseSchema, type Database} from './database.js'
import {healthCheckConfigSchema, type HealthCheckConfig} from './health-check-config.js'
import type {Kind} from './kinds.js'
import {lockSchema, type Lock} from './lock.js'
import {roleSchema, type Role} from './role.js'
import {tokenSchema, type Token} from './token.js'
import {userSchema, type User} from './user.js'

export interface ResourceOf {
  role: Role
  user: User
  token: Token
  db: Database
  db_server: DatabaseServer
  lock: Lock
  health_check_config: HealthCheckConfig
}

export type Resource = ResourceOf[Kind]

const schemas: {readonly [K in Kind]: z.ZodType<ResourceOf[K]>} = {
  role: roleSchema,
  user: userSchema,
  token: tokenSchema,
  db: databaseSchema,
  db_server: databaseServerSchema,
  lock: lockSchema,
  health_check_config: healthCheckConfigSchema,
}

/**
 * Checks a document against the schema of its kind.
 * @throws PosternError INVALID naming every field that is wrong.
 */
export function parseResource<K extends Kind>(kind: K, document: unknown): ResourceOf[K] {
  const result = schemas[kind].safeParse(document)
  if (result.success) return result.data
  throw new PosternError('INVALID', `This ${kind} is not valid: ${describeIssues(result.error)}.`)
}

/** `spec.allow.db_users: Expected array` for each issue, joined by semicolons. */
export function describeIssues(error: z.ZodError): string {
  return error.issues
    .map((issue) => {
      const path = issue.path.map(String).join('.')
      return path === '' ? issue.message : `${path}: ${issue.message}`
    })
    .join('; ')
}
