import {PosternError} from '../core/errors.js'
import {compileNode, type Compiled, type Name} from './predicate.js'
import {parseTemplate} from './predicate-syntax.js'

export type Traits = Readonly<Record<string, readonly string[]>>

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

/** The values of one trait, or none. */
export function traitOf(traits: Traits, name: string): readonly string[] {
  return Object.hasOwn(traits, name) ? (traits[name] ?? []) : []
}

const names: Readonly<Record<string, Name<Traits>>> = {
  ...Object.fromEntries(
    [...internalTraits].map((name) => [
      `internal.${name}`,
      {type: 'list', read: (traits: Traits) => traitOf(traits, name)} as const,
    ]),
  ),
  external: {map: 'list', lookUp: traitOf},
}

/** An entry of a role: a text, or one made from the traits of the user. */
export interface Template {
  /** Whether it is the same for everybody. */
  readonly fixed: boolean
  /** Instructions of regular expressions that may run for each character of a trait. */
  readonly cost: number
  /** Values such as it may give, to check beforehand what becomes of them. */
  readonly samples: readonly string[]
  /** One value for each value of the trait; none when the user has no such trait. */
  readonly fill: (traits: Traits) => readonly string[]
}

/**
 * Reads an entry such as `dev-{{external.team}}` or `{{email.local(external.email)}}`.
 * @throws PosternError INVALID when braces are there but no template that we know
 */
export function compileTemplate(entry: string): Template {
  const opening = entry.indexOf('{{')
  if (opening < 0 && !entry.includes('}}')) {
    const values = [entry]
    return {fixed: true, cost: 0, samples: values, fill: () => values}
  }
  const {evaluate, cost, end} = compileBraces(entry, opening)
  const before = entry.slice(0, opening)
  const after = entry.slice(end)
  return {
    fixed: false,
    cost,
    samples: [`${before}x${after}`],
    fill: (traits) => {
      const found = evaluate(traits)
      const values = typeof found === 'string' ? [found] : Array.isArray(found) ? (found as readonly string[]) : []
      return values.filter((value) => value !== '').map((value) => `${before}${value}${after}`)
    },
  }
}

function compileBraces(entry: string, opening: number): Compiled<Traits> & {readonly end: number} {
  const invalid = (why: string): PosternError =>
    new PosternError('INVALID', `"${entry}" is not a template this version understands: ${why}.`, {
      hint: [
        'Write {{internal.NAME}} or {{external.NAME}}, with text before and after it if you like, or a function of one, as in {{email.local(external.email)}}.',
        'Internal names are logins, db_users, db_names and db_roles; external takes any.',
      ],
    })
  if (opening < 0) throw invalid('its braces have no beginning')
  try {
    const {node, end} = parseTemplate(entry, opening + 2)
    const compiled = compileNode(node, {names})
    const {type} = compiled
    if (type !== 'list' && type !== 'text') throw invalid('it gives no text')
    if (node.kind === 'literal') throw invalid('it names no trait')
    if (/\{\{|\}\}/.test(entry.slice(end))) throw invalid('there may be one pair of braces only')
    return {...compiled, end}
  } catch (error) {
    if (!(error instanceof PosternError) || error.hints.length > 0) throw error
    throw invalid(error.message)
  }
}

/** A list of entries as one. @throws PosternError INVALID */
export function compileEntries(entries: readonly string[] = []): Template {
  const templates = entries.map(compileTemplate)
  const fill: Template['fill'] = (traits) => templates.flatMap((template) => template.fill(traits))
  const cost = templates.reduce((sum, template) => sum + template.cost, 0)
  const samples = templates.flatMap((template) => template.samples)
  const fixed = templates.every((template) => template.fixed)
  return {fixed, cost, samples, fill: fixed ? () => samples : fill}
}
