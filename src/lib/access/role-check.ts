import {parseDuration} from '../core/duration.js'
import {PosternError} from '../core/errors.js'
import type {Role, RoleConditions} from '../resources/role.js'
import {compileExpression} from './selector.js'
import {interpolate} from './template.js'

/**
 * What a schema cannot see: templates, patterns and durations of a role, checked before it is saved.
 * @throws PosternError INVALID saying where and why
 */
export function checkRole(role: Role): void {
  const name = role.metadata.name
  const {options, allow, deny} = role.spec
  if (options?.max_session_ttl)
    locate(name, 'spec.options.max_session_ttl', () => parseDuration(options.max_session_ttl ?? ''))
  checkConditions(name, 'spec.allow', allow)
  checkConditions(name, 'spec.deny', deny)
  if (allow?.db_roles?.includes('*')) {
    throw new PosternError('INVALID', `Role "${name}" allows the database role "*", which cannot be granted.`, {
      hint: 'Name the database roles in spec.allow.db_roles.',
    })
  }
}

function checkConditions(role: string, at: string, conditions: RoleConditions | undefined): void {
  for (const field of ['db_users', 'db_names', 'db_roles'] as const) {
    for (const entry of conditions?.[field] ?? []) locate(role, `${at}.${field}`, () => interpolate(entry, {}))
  }
  for (const [key, values] of Object.entries(conditions?.db_labels ?? {})) {
    for (const value of values) {
      locate(role, `${at}.db_labels.${key}`, () => {
        interpolate(value, {})
        if (value.startsWith('^') && value.endsWith('$')) compileExpression(value)
      })
    }
  }
}

function locate(role: string, at: string, check: () => unknown): void {
  try {
    check()
  } catch (error) {
    if (!(error instanceof PosternError)) throw error
    throw new PosternError('INVALID', `Role "${role}", ${at}: ${error.message}`, {cause: error, hint: error.hints})
  }
}
