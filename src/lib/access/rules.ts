import type {Role, Verb} from '../resources/role.js'

/** Whether one of the roles grants a verb on a resource of the control plane; a deny rule of any role wins. */
export function permits(roles: readonly Role[], resource: string, verb: Verb): boolean {
  if (denies(roles, resource, verb)) return false
  return roles.some((role) => role.spec.allow?.rules?.some((rule) => names(rule, resource, verb)))
}

/** Whether one of the roles has a deny rule for a verb on a resource of the control plane. */
export function denies(roles: readonly Role[], resource: string, verb: Verb): boolean {
  return roles.some((role) => role.spec.deny?.rules?.some((rule) => names(rule, resource, verb)))
}

interface Rule {
  readonly resources: readonly string[]
  readonly verbs: readonly Verb[]
}

function names({resources, verbs}: Rule, resource: string, verb: Verb): boolean {
  return (resources.includes('*') || resources.includes(resource)) && (verbs.includes('*') || verbs.includes(verb))
}
