import type {Secret} from '../core/secret.js'
import type {Context} from './conditions.js'
import type {Role, User} from './identities.js'
import type {Caller} from './policy.js'
import type {Policy} from './policy-document.js'

/** Who made a request, after its signature was verified. */
export type Principal = UserPrincipal | SessionPrincipal

interface UserPrincipal {
  readonly kind: 'user'
  readonly account: string
  readonly arn: string
  readonly userId: string
  readonly identity: User
}

export interface SessionPrincipal {
  readonly kind: 'session'
  readonly account: string
  /** `arn:aws:sts::111111111111:assumed-role/role/session` */
  readonly arn: string
  /** `AROA…:session` */
  readonly userId: string
  readonly identity: Role
  readonly sessionName: string
  /** Policies that the session was narrowed with. */
  readonly policies: readonly Policy[]
  readonly tags: ReadonlyMap<string, string>
}

/** Temporary credentials of a role. */
export interface Session {
  readonly accessKeyId: string
  readonly secretKey: Secret
  readonly token: Secret
  /** Milliseconds since 1970. */
  readonly expires: number
  readonly principal: SessionPrincipal
}

export function userPrincipal(user: User): Principal {
  return {kind: 'user', account: user.account, arn: user.arn, userId: user.id, identity: user}
}

export interface SessionDetails {
  readonly sessionName: string
  readonly policies?: readonly Policy[]
  readonly tags?: ReadonlyMap<string, string>
}

export function sessionPrincipal(
  role: Role,
  {sessionName, policies = [], tags = new Map()}: SessionDetails,
): SessionPrincipal {
  return {
    kind: 'session',
    account: role.account,
    // Without the role's path (IAM User Guide, "IAM identifiers").
    arn: `arn:aws:sts::${role.account}:assumed-role/${role.name}/${sessionName}`,
    userId: `${role.id}:${sessionName}`,
    identity: role,
    sessionName,
    policies,
    tags,
  }
}

export function callerOf(principal: Principal): Caller {
  const {arn, account} = principal
  return {kind: 'AWS', name: arn, account, ...(principal.kind === 'session' && {roleArn: principal.identity.arn})}
}

/** Facts about the principal for conditions (IAM User Guide, "AWS global condition context keys"). */
export function principalContext(principal: Principal): Context {
  const {identity} = principal
  const tags = new Map([...identity.tags, ...(principal.kind === 'session' ? principal.tags : [])])
  return new Map<string, readonly string[]>([
    // A session's is its role's ARN.
    ['aws:principalarn', [identity.arn]],
    ['aws:principalaccount', [principal.account]],
    ['aws:principaltype', [principal.kind === 'user' ? 'User' : 'AssumedRole']],
    ['aws:userid', [principal.userId]],
    ...(principal.kind === 'user' ? [['aws:username', [identity.name]] as const] : []),
    // The sandbox speaks plain HTTP on loopback; the service that it stands for would not.
    ['aws:securetransport', ['true']],
    ...Array.from(tags, ([key, value]) => [`aws:principaltag/${key.toLowerCase()}`, [value]] as const),
  ])
}
