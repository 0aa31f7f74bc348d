/** Identity and Access Management (IAM API Reference 2010-05-08), as far as database access needs it. */
import type {ApiService} from './api-call.js'
import {policiesOf, requirePermission} from './authorization.js'
import {identityOperations, noSuchEntity} from './iam-identities.js'
import {policyOperations} from './iam-policies.js'
import type {Role, User} from './identities.js'
import {evaluate, type AccessRequest} from './policy.js'
import {principalContext, sessionPrincipal, userPrincipal} from './principal.js'
import {queryService, type QueryCall} from './query-service.js'
import type {XmlValue} from './xml.js'

export const iam: ApiService = queryService({
  namespace: 'https://iam.amazonaws.com/doc/2010-05-08/',
  operations: {...identityOperations, ...policyOperations, SimulatePrincipalPolicy: simulate},
})

/** What the policies of a user or role would say to each action on each resource. */
function simulate(call: QueryCall): XmlValue {
  const {world, principal, fields} = call
  const arn = fields.required('PolicySourceArn')
  requirePermission(world, principal, {action: 'iam:SimulatePrincipalPolicy', resource: arn})
  const identity = findSource(call, arn)
  const {identity: policies, boundary} = policiesOf(world, identity.grants.at(world.now()))
  const resources = fields.list('ResourceArns.member')
  const given = fields
    .structures('ContextEntries.member', 'ContextKeyName')
    .map(
      (prefix) =>
        [
          fields.required(`${prefix}ContextKeyName`).toLowerCase(),
          fields.list(`${prefix}ContextKeyValues.member`),
        ] as const,
    )
  const subject =
    identity.kind === 'user' ? userPrincipal(identity) : sessionPrincipal(identity, {sessionName: 'simulation'})
  const context = new Map([...principalContext(subject), ...given])

  const results = fields.list('ActionNames.member').flatMap((action) =>
    (resources.length > 0 ? resources : ['*']).map((resource) => {
      const request: AccessRequest = {action, resource, context}
      const own = evaluate(policies, request)
      const bound = boundary ? evaluate(boundary, request) : 'allow'
      const isDenied = own === 'deny' || bound === 'deny'
      const isAllowed = own === 'allow' && bound === 'allow'
      return {
        EvalActionName: action,
        EvalResourceName: resource,
        EvalDecision: isDenied ? 'explicitDeny' : isAllowed ? 'allowed' : 'implicitDeny',
        PermissionsBoundaryDecisionDetail: boundary && {AllowedByPermissionsBoundary: bound === 'allow'},
      }
    }),
  )
  return {EvaluationResults: {member: results}, IsTruncated: false}
}

function findSource({account}: QueryCall, arn: string): User | Role {
  const identities = [...account.users.values(), ...account.roles.values()]
  const identity = identities.find((one) => one.arn === arn)
  if (!identity) throw noSuchEntity(`The principal ${arn} cannot be found.`)
  return identity
}
