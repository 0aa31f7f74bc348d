/** What a look at one thing between the agent and a database found. */

/** What is looked at, in the order in which a connection needs it. */
export const checkNames = [
  'access',
  'region',
  'credentials',
  'clock',
  'database',
  'iam-authentication',
  'permission',
  'password',
  'address',
  'connection',
  'certificate',
  'sign-in',
] as const
export type CheckName = (typeof checkNames)[number]

/** Everything that a diagnosis can come to; docs/troubleshooting.md has a section for each. */
export type Problem =
  | 'access-denied'
  | 'wrong-region'
  | 'no-credentials'
  | 'expired-credentials'
  | 'unknown-credentials'
  | 'clock-skew'
  | 'role-trust'
  | 'external-id'
  | 'role-permission'
  | 'unknown-database'
  | 'iam-authentication-off'
  | 'policy-missing'
  | 'wrong-resource-id'
  | 'boundary'
  | 'session-policy'
  | 'explicit-deny'
  | 'organization'
  | 'policy-changed'
  | 'user-or-membership'
  | 'no-such-user'
  | 'no-membership'
  | 'no-login'
  | 'no-secret'
  | 'secret-without-iam'
  | 'secret-password'
  | 'too-many-sign-ins'
  | 'no-hba-entry'
  | 'name-not-found'
  | 'refused'
  | 'timed-out'
  | 'no-route'
  | 'broken-connection'
  | 'certificate-without-names'
  | 'certificate-expired'
  | 'certificate-for-other-names'
  | 'certificate-not-trusted'
  | 'client-certificate-refused'
  | 'aws-request-failed'
  | 'sign-in-refused'

/** One cause and one thing to do about it. */
export interface Diagnosis {
  /** One of `Problem`, or a word of a later version. */
  readonly problem: string
  /** One sentence; it says so when it is only probable. */
  readonly cause: string
  /** One sentence. */
  readonly fix: string
}

export type Finding =
  | {readonly check: CheckName; readonly outcome: 'pass'; readonly detail: string}
  /** `detail` says what could not be looked at, and why. */
  | {readonly check: CheckName; readonly outcome: 'skipped'; readonly detail: string}
  | {readonly check: CheckName; readonly outcome: 'fail'; readonly diagnosis: Diagnosis}

/** Which check a failed connection failed at. */
export function checkOf(problem: string | undefined): CheckName {
  switch (problem) {
    case 'name-not-found':
      return 'address'
    case 'refused':
    case 'timed-out':
    case 'no-route':
    case 'broken-connection':
      return 'connection'
    case 'certificate-without-names':
    case 'certificate-expired':
    case 'certificate-for-other-names':
    case 'certificate-not-trusted':
    case 'client-certificate-refused':
      return 'certificate'
    default:
      return 'sign-in'
  }
}

export const passed = (check: CheckName, detail: string): Finding => ({check, outcome: 'pass', detail})
export const skipped = (check: CheckName, detail: string): Finding => ({check, outcome: 'skipped', detail})
export const failed = (check: CheckName, problem: Problem, cause: string, fix: string): Finding => ({
  check,
  outcome: 'fail',
  diagnosis: {problem, cause, fix},
})
