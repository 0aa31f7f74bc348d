/** Security Token Service: who am I, and whom may I become (STS API Reference 2011-06-15). */
import type {ApiService} from './api-call.js'
import {accessDenied, authorizeOutsider, authorizeRole, denialText} from './authorization.js'
import type {Context} from './conditions.js'
import {Fault, validationError} from './fault.js'
import type {Role} from './identities.js'
import {parsePolicy, type Policy} from './policy-document.js'
import {sessionPrincipal, type SessionPrincipal} from './principal.js'
import {issueSession} from './sessions.js'
import type {QueryFields} from './query-fields.js'
import {queryService, type QueryCall} from './query-service.js'
import {issuer, verifyWebIdentity} from './web-identity.js'
import {findPolicy, findRole, type World} from './world.js'
import {xmlTime, type XmlObject, type XmlValue} from './xml.js'

const sessionSeconds = {default: 3600, least: 900, most: 43_200, chained: 3600} as const
const sessionPolicyCharacters = 2048
const sessionNameForm = /^[\w+=,.@-]{2,64}$/

export const sts: ApiService = queryService({
  namespace: 'https://sts.amazonaws.com/doc/2011-06-15/',
  operations: {
    GetCallerIdentity: ({principal}) => ({Arn: principal.arn, UserId: principal.userId, Account: principal.account}),
    AssumeRole: assumeRole,
  },
  anonymous: {
    AssumeRoleWithWebIdentity: ({world, fields}) => assumeRoleWithWebIdentity(world, fields),
  },
})

function assumeRole(call: QueryCall): XmlValue {
  const {world, principal, fields} = call
  const arn = fields.required('RoleArn')
  const sessionName = readSessionName(fields)
  const tags = readTags(fields)
  const role = findRole(world, arn)
  const context: Context = new Map([
    ['sts:rolesessionname', [sessionName]],
    ...optional('sts:externalid', fields.text('ExternalId')),
    ...Array.from(tags, ([key, value]) => [`aws:requesttag/${key.toLowerCase()}`, [value]] as const),
    ...(tags.size > 0 ? [['aws:tagkeys', [...tags.keys()]] as const] : []),
  ])
  const refused = (action: string): Fault => accessDenied(denialText(principal, action, arn))
  // A role that does not exist is refused in the same words, so that nobody can find out which do.
  if (!role) throw refused('sts:AssumeRole')
  for (const action of ['sts:AssumeRole', ...(tags.size > 0 ? ['sts:TagSession'] : [])]) {
    if (!authorizeRole(world, principal, role, {action, context}).allowed) throw refused(action)
  }
  const seconds = readDuration(fields, role)
  if (principal.kind === 'session' && seconds > sessionSeconds.chained) {
    throw validationError(
      'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining',
    )
  }
  const policies = readSessionPolicies(world, fields)
  return answer(world, sessionPrincipal(role, {sessionName, policies, tags}), seconds)
}

function assumeRoleWithWebIdentity(world: World, fields: QueryFields): XmlValue {
  const sessionName = readSessionName(fields)
  const claims = verifyWebIdentity(fields.required('WebIdentityToken'), world.now())
  const role = findRole(world, fields.required('RoleArn'))
  const action = 'sts:AssumeRoleWithWebIdentity'
  const context: Context = new Map([
    [`${issuer}:sub`, [claims.sub]],
    [`${issuer}:aud`, [claims.aud]],
  ])
  const provider = `arn:aws:iam::${role?.account ?? ''}:oidc-provider/${issuer}`
  if (!role || !authorizeOutsider(world, {kind: 'Federated', name: provider}, role, action, context)) {
    throw accessDenied(`Not authorized to perform ${action}`)
  }
  const principal = sessionPrincipal(role, {sessionName})
  const result = answer(world, principal, readDuration(fields, role))
  return {...result, SubjectFromWebIdentityToken: claims.sub, Audience: claims.aud, Provider: provider}
}

function answer(world: World, principal: SessionPrincipal, seconds: number): XmlObject {
  const session = issueSession(world, principal, seconds * 1000)
  return {
    Credentials: {
      AccessKeyId: session.accessKeyId,
      SecretAccessKey: session.secretKey.reveal(),
      SessionToken: session.token.reveal(),
      Expiration: xmlTime(session.expires),
    },
    AssumedRoleUser: {AssumedRoleId: principal.userId, Arn: principal.arn},
  }
}

function readSessionName(fields: QueryFields): string {
  const name = fields.required('RoleSessionName')
  if (sessionNameForm.test(name)) return name
  throw validationError(
    `1 validation error detected: Value '${name}' at 'roleSessionName' failed to satisfy constraint: ` +
      'Member must satisfy regular expression pattern: [\\w+=,.@-]*',
  )
}

function readDuration(fields: QueryFields, role: Role): number {
  const seconds = fields.integer('DurationSeconds') ?? sessionSeconds.default
  if (seconds < sessionSeconds.least || seconds > sessionSeconds.most) {
    throw validationError(
      `1 validation error detected: Value '${seconds}' at 'durationSeconds' failed to satisfy constraint: ` +
        `Member must have value between ${sessionSeconds.least} and ${sessionSeconds.most}`,
    )
  }
  if (seconds > role.maxSessionSeconds) {
    throw validationError('The requested DurationSeconds exceeds the MaxSessionDuration set for this role.')
  }
  return seconds
}

function readTags(fields: QueryFields): ReadonlyMap<string, string> {
  return new Map(
    fields
      .structures('Tags.member', 'Key')
      .map((prefix) => [fields.required(`${prefix}Key`), fields.text(`${prefix}Value`) ?? '']),
  )
}

function readSessionPolicies(world: World, fields: QueryFields): Policy[] {
  const text = fields.text('Policy')
  if (text !== undefined && text.length > sessionPolicyCharacters) {
    throw validationError(`The session policy is longer than ${sessionPolicyCharacters} characters`)
  }
  const managed = fields.structures('PolicyArns.member', 'arn').map((prefix) => {
    const arn = fields.required(`${prefix}arn`)
    const policy = findPolicy(world, arn)
    if (!policy) throw new Fault('NoSuchEntity', 404, `Policy ${arn} was not found.`)
    return policy.defaultVersion.at(world.now()).policy
  })
  return [...(text === undefined ? [] : [readDocument(text)]), ...managed]
}

function readDocument(text: string): Policy {
  try {
    return parsePolicy(text)
  } catch (error) {
    throw new Fault('MalformedPolicyDocument', 400, error instanceof Error ? error.message : 'Malformed policy')
  }
}

function optional(key: string, value: string | undefined): (readonly [string, readonly string[]])[] {
  return value === undefined ? [] : [[key, [value]]]
}
