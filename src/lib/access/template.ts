import {PosternError} from '../core/errors.js'

export type Traits = Readonly<Record<string, readonly string[]>>

const template = /^([^{}]*)\{\{\s*(internal|external)\.([A-Za-z0-9_-]+)\s*\}\}([^{}]*)$/

/** Traits of the control plane's own users; `external` may name any. */
const internalTraits: ReadonlySet<string> = new Set([
  'logins',
  'db_users',
  'db_names',
  'db_roles',
  'aws_role_arns',
  'azure_identities',
  'gcp_service_accounts',
  'github_orgs',
  'jwt',
  'kubernetes_groups',
  'kubernetes_users',
  'mcp_tools',
  'windows_logins',
])

/**
 * The values of one entry of a role, with a trait filled in: `dev-{{external.team}}` gives one value per value of the trait,
 * and nothing when the user has no such trait.
 * @throws PosternError INVALID when braces are there but no template that we know
 */
export function interpolate(entry: string, traits: Traits): readonly string[] {
  if (!entry.includes('{{') && !entry.includes('}}')) return [entry]
  const [whole, before = '', source, name = '', after = ''] = template.exec(entry) ?? []
  if (whole === undefined || (source === 'internal' && !internalTraits.has(name))) {
    throw new PosternError('INVALID', `"${entry}" is not a template this version understands.`, {
      hint: [
        'Write {{internal.NAME}} or {{external.NAME}}, with text before and after it if you like.',
        'Internal names are logins, db_users, db_names and db_roles; external takes any.',
      ],
    })
  }
  const values = Object.hasOwn(traits, name) ? (traits[name] ?? []) : []
  return values.filter((value) => value !== '').map((value) => `${before}${value}${after}`)
}

/** Each entry interpolated, flattened. */
export function interpolateAll(entries: readonly string[] | undefined, traits: Traits): string[] {
  return (entries ?? []).flatMap((entry) => interpolate(entry, traits))
}
