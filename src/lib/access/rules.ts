import type {Role, Verb} from '../resources/role.js'

/** Whether one of the roles grants a verb on a resource of the control plane; a deny rule of any role wins. */
export function permits(roles: readonly Role[], resource: string, verb: Verb): boolean {
  const names = (rule: {resources: readonly string[]; verbs: readonly Verb[]}): boolean =>
    (rule.resources.includes('*') || rule.resources.includes(resource)) &&
    (rule.verbs.includes('*') || rule.verbs.includes(verb))
  if (roles.some((role) => role.spec.deny?.rules?.some(names))) return false
  return roles.some((role) => role.spec.allow?.rules?.some(names))
}
