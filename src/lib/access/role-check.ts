import {parseDuration, parseTimeout} from '../core/duration.js'
import {PosternError} from '../core/errors.js'
import type {Role} from '../resources/role.js'
import {compileRole, locate} from './compiled-role.js'
import {maximumInstructions} from './pattern.js'
import {compileRules} from './rules.js'

/**
 * What a schema cannot see: templates, patterns, predicates and durations of a role, checked before it is saved.
 * @throws PosternError INVALID saying where and why
 */
export function checkRole(role: Role): void {
  const {metadata, spec} = role
  const {name} = metadata
  const {max_session_ttl: ttl, client_idle_timeout: idle} = spec.options ?? {}
  if (ttl !== undefined) locate(name, 'spec.options.max_session_ttl', () => parseTtl(ttl))
  if (idle !== undefined) locate(name, 'spec.options.client_idle_timeout', () => parseTimeout(idle))
  const cost = compileRole(role).cost + compileRules(role).cost
  if (cost > maximumInstructions) {
    throw new PosternError('INVALID', `Role "${name}": its regular expressions are too large together.`, {
      hint: 'Write some of them as globs or as plain values, or split the role.',
    })
  }
  if (spec.allow?.db_roles?.includes('*')) {
    throw new PosternError('INVALID', `Role "${name}" allows the database role "*", which cannot be granted.`, {
      hint: 'Name the database roles in spec.allow.db_roles.',
    })
  }
}

function parseTtl(text: string): number {
  const ttl = parseDuration(text)
  if (ttl === 0) throw new PosternError('INVALID', 'a login must live longer than 0.')
  return ttl
}
