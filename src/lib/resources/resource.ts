import type {z} from 'zod'
import {PosternError} from '../core/errors.js'
import {clusterAuthPreferenceSchema, type ClusterAuthPreference} from './cluster-auth-preference.js'
import {clusterNetworkingConfigSchema, type ClusterNetworkingConfig} from './cluster-networking-config.js'
import {databaseServerSchema, type DatabaseServer} from './database-server.js'
import {databaseSchema, type Database} from './database.js'
import {healthCheckConfigSchema, type HealthCheckConfig} from './health-check-config.js'
import type {Kind, SingletonKind} from './kinds.js'
import {lockSchema, type Lock} from './lock.js'
import {roleSchema, type Role} from './role.js'
import {sessionRecordingConfigSchema, type SessionRecordingConfig} from './session-recording-config.js'
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
  session_recording_config: SessionRecordingConfig
  cluster_networking_config: ClusterNetworkingConfig
  cluster_auth_preference: ClusterAuthPreference
}

export type Resource = ResourceOf[Kind]

/** What a configuration file says of the cluster's settings; of kinds that are left out it says nothing. */
export type SettingsSpecs = {readonly [K in SingletonKind]?: Partial<ResourceOf[K]['spec']>}

const schemas: {readonly [K in Kind]: z.ZodType<ResourceOf[K]>} = {
  role: roleSchema,
  user: userSchema,
  token: tokenSchema,
  db: databaseSchema,
  db_server: databaseServerSchema,
  lock: lockSchema,
  health_check_config: healthCheckConfigSchema,
  session_recording_config: sessionRecordingConfigSchema,
  cluster_networking_config: clusterNetworkingConfigSchema,
  cluster_auth_preference: clusterAuthPreferenceSchema,
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
