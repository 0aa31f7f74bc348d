import {PosternError} from '../core/errors.js'
import {isAwsAccountId} from '../resources/endpoint.js'

/** A user or role of IAM, or what else a caller can be. */
export interface IamIdentity {
  readonly kind: 'user' | 'role' | 'assumed-role' | 'other'
  readonly partition: string
  /** Twelve digits, or `*` where nobody was asked. */
  readonly account: string
  /** Without a path; of an assumed role, the role's. */
  readonly name: string
  readonly arn: string
}

/** Where the names of users and roles are completed. */
type Place = Pick<IamIdentity, 'partition' | 'account'>

const arnForm = /^arn:(aws[a-z-]*|\*):(?:iam|sts)::(\d{12}|\*):([a-z-]+)(?:\/(.+))?$/
/** IAM names are up to 64 characters long; a path before them up to 512 (IAM User Guide, "IAM and AWS STS quotas"). */
const nameForm = /^(\/([\w+=,.@-]+\/)*)?[\w+=,.@-]{1,64}$/
const maximumPath = 512

/** Who is asked about when nobody may be asked: a user of any account. */
export const anyone: IamIdentity = {
  kind: 'user',
  partition: '*',
  account: '*',
  name: 'username',
  arn: 'arn:*:iam::*:user/username',
}

/** @throws PosternError USAGE */
export function parseIdentity(arn: string): IamIdentity {
  const [, partition = '', account = '', prefix = '', path = ''] = arnForm.exec(arn) ?? []
  const segments = path.split('/')
  const kind = prefix === 'user' || prefix === 'role' || prefix === 'assumed-role' ? prefix : 'other'
  const name = (kind === 'assumed-role' ? segments[0] : segments.at(-1)) ?? ''
  if (partition === '' || (kind !== 'other' && !nameForm.test(name))) {
    throw new PosternError('USAGE', `"${arn}" is not the ARN of an IAM identity.`, {
      hint: 'Write it as arn:aws:iam::<12 digits>:role/<name>.',
    })
  }
  return {kind, partition, account, name: name === '' ? prefix : name, arn}
}

/**
 * The user or role that a name, `/path/name` or ARN means.
 * @throws PosternError USAGE
 */
export function nameIdentity(kind: 'user' | 'role', text: string, {partition, account}: Place): IamIdentity {
  if (text.startsWith('arn:')) {
    const identity = parseIdentity(text)
    if (identity.kind === kind) return identity
    throw new PosternError('USAGE', `"${text}" is not the ARN of a ${kind}.`)
  }
  if (!nameForm.test(text) || text.length > maximumPath) {
    throw new PosternError('USAGE', `"${text}" is not the name of a ${kind}.`, {
      hint: `Give the name, or arn:aws:iam::<12 digits>:${kind}/<name>.`,
    })
  }
  return parseIdentity(`arn:${partition}:iam::${account}:${kind}/${text.replace(/^\//, '')}`)
}

/** ARNs of the roles that names and ARNs mean. @throws PosternError USAGE */
export function nameRoles(texts: readonly string[], place: Place): string[] {
  return texts.map((text) => {
    const {arn, account} = nameIdentity('role', text, place)
    // Without AWS the account of a name is not known, and neither is that of an ARN with *.
    if (isAwsAccountId(account) || place.account === '*') return arn
    throw new PosternError('USAGE', `The account in "${text}" is not 12 digits.`)
  })
}
