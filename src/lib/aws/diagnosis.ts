/** From a refusal by the database, and what was looked at after it, to the one cause and the one thing to do. */
import type {ServerError} from '../pgwire/server-error.js'
import type {AwsDatabase} from './aws-database.js'
import type {Examination} from './examination.js'
import type {Diagnosis, Finding, Problem} from '../resources/finding.js'
import {wait, written} from './permission-text.js'
import type {Need} from './sign-in-need.js'

/** What a user who asks knows about a database user: from an admin user, where one is configured. */
export type UserStanding = 'missing' | 'no-login' | 'no-membership' | 'fine' | 'unknown'

export interface RefusedSignIn {
  readonly database: AwsDatabase
  readonly dbUser: string
  readonly refusal: ServerError
  /** Whether sign-ins came so close together that this may be the reason. */
  readonly isBusy: boolean
}

const states = {
  invalidAuthorization: '28000',
  invalidPassword: '28P01',
  undefinedObject: '42704',
} as const

const diagnosis = (problem: Problem, cause: string, fix: string): Diagnosis => ({problem, cause, fix})

const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** What the words of the refusal alone say for certain; undefined when AWS has to be asked. */
export function readRefusal({database: {type}, dbUser, refusal}: RefusedSignIn): Diagnosis | undefined {
  const {code, message} = refusal
  const user = quoteName(dbUser)
  if (/role "[^"]*" is not permitted to log in/.test(message)) {
    return diagnosis('no-login', `The database user ${user} may not log in.`, `Run: ALTER ROLE ${user} LOGIN;`)
  }
  if (type === 'rdsproxy') return readProxyRefusal(dbUser, message)
  const isMissing = code === states.undefinedObject || message.includes('does not exist')
  if (type === 'redshift' && isMissing && message.startsWith('user ')) {
    return diagnosis(
      'no-such-user',
      `There is no user ${user} in the Redshift database, and Postern creates none.`,
      `Run: CREATE USER ${dbUser} PASSWORD DISABLE;`,
    )
  }
  return undefined
}

function readProxyRefusal(dbUser: string, message: string): Diagnosis | undefined {
  const user = quoteName(dbUser)
  const secret = `a Secrets Manager secret for the user ${user}`
  if (message.includes('no credentials for the role')) {
    return diagnosis(
      'no-secret',
      `The RDS Proxy has no secret for the user ${user}.`,
      `Attach ${secret} to the RDS Proxy.`,
    )
  }
  if (message.includes('password that was provided')) {
    return diagnosis(
      'secret-without-iam',
      `The RDS Proxy has a secret for the user ${user}, and IAM authentication is disabled for it.`,
      'Set IAM authentication to "required" for that secret, in the RDS Proxy.',
    )
  }
  if (message.startsWith('Request returned an error') && message.includes('authentication failed')) {
    return diagnosis(
      'secret-password',
      `The database refused the RDS Proxy itself: the secret for ${user} holds another password than the database user has, or the user is a member of rds_iam.`,
      `Write the user’s password into the secret, and run: REVOKE rds_iam FROM ${user};`,
    )
  }
  if (message.includes('too many competing requests')) return tooMany
  return undefined
}

const tooMany = diagnosis(
  'too-many-sign-ins',
  'More sign-ins came at once than the instance takes.',
  'Try again in a moment, and use a connection pool.',
)

/** Whether the refusal is about who the user is, so that looking at IAM may tell more. */
export const isAboutSignIn = ({code}: ServerError): boolean =>
  code === states.invalidAuthorization || code === states.invalidPassword

/** What the findings come to. */
export function diagnose(
  {database, dbUser, refusal, isBusy}: RefusedSignIn,
  {findings, need, changed}: Examination,
  standing: UserStanding,
): Diagnosis {
  const isPasswordAsked = refusal.code === states.invalidPassword && database.type === 'rds'
  const failures = findings.filter((finding) => finding.outcome === 'fail')
  const isOff = failures.some(({check}) => check === 'iam-authentication')
  // Only users outside rds_iam are asked for a password at all, whatever IAM says.
  if (isPasswordAsked && !isOff) return diagnoseUser(dbUser, standing)
  // A wrong clock explains refused credentials; of anything else that is wrong it is not the reason.
  const certain = failures.find(({check}) => check !== 'clock' && check !== 'credentials')
  const found = certain ?? failures.find(({check}) => check === 'clock') ?? failures[0]
  if (found) return found.diagnosis
  if (database.type === 'redshift' || database.type === 'redshift-serverless') {
    return diagnosis(
      'sign-in-refused',
      'AWS gave a password that the database does not take.',
      'Check that the cluster or workgroup of the database is the one that its uri leads to.',
    )
  }
  if (standing !== 'fine' && standing !== 'unknown') return diagnoseUser(dbUser, standing)
  const unknown = findings.filter(({outcome}) => outcome === 'skipped')
  if (unknown.length > 0 || !need) return probable(database, dbUser, unknown, need)
  if (changed === undefined && isBusy) return tooMany
  const probably = changed === undefined ? 'Probably a change is not in effect yet: ' : ''
  return diagnosis(
    'policy-changed',
    `${probably}${written(changed, need)}, and the database does not know it yet.`,
    wait,
  )
}

/** One diagnosis for two causes, unless an admin user could tell them apart. */
function diagnoseUser(dbUser: string, standing: UserStanding): Diagnosis {
  const user = quoteName(dbUser)
  const grant = `GRANT rds_iam TO ${user};`
  switch (standing) {
    case 'missing':
      return diagnosis(
        'no-such-user',
        `There is no user ${user} in the database.`,
        `Run as its administrator: CREATE USER ${user}; ${grant}`,
      )
    case 'no-login':
      return diagnosis('no-login', `The database user ${user} may not log in.`, `Run: ALTER ROLE ${user} LOGIN;`)
    case 'no-membership':
      return diagnosis(
        'no-membership',
        `The database user ${user} is not a member of rds_iam.`,
        `Run as its administrator: ${grant}`,
      )
    case 'fine':
    case 'unknown':
      return diagnosis(
        'user-or-membership',
        `The database user ${user} does not exist, or is not a member of rds_iam: the database asked for a password.`,
        `Run as its administrator: ${grant} If there is no such user, CREATE USER ${user}; first.`,
      )
  }
}

function probable({type}: AwsDatabase, dbUser: string, unknown: readonly Finding[], need: Need | undefined): Diagnosis {
  const target = need?.resource ?? `the database as ${quoteName(dbUser)}`
  const reasons = unknown.flatMap((finding) =>
    finding.outcome === 'skipped' && finding.check !== 'iam-authentication' ? finding.detail : [],
  )
  const secret =
    type === 'rdsproxy' ? ` Check that IAM authentication is "required" for the secret of ${quoteName(dbUser)}.` : ''
  return diagnosis(
    'policy-missing',
    `Probably ${need?.owner.arn ?? 'the agent'} may not rds-db:connect on ${target}. ${reasons.join(' ')}`,
    `Allow rds-db:connect on ${target}.${secret} With the permissions in docs/troubleshooting.md the agent says for certain.`,
  )
}
