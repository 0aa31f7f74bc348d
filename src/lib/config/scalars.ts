import {isAbsolute} from 'node:path'
import {z} from 'zod'
import {parseDuration, parseTimeout} from '../core/duration.js'
import {isAwsAccountId, isAwsRegion, parseAddress, type Address} from '../resources/endpoint.js'

const maximumQuotedLength = 80
const maximumWorkers = 64

/** A scalar of the file, which is always text, read by a function that answers undefined to what it does not know. */
function scalar<T>(expected: string, read: (text: string) => T | undefined) {
  return z.string().transform((text, context): T => {
    const value = attempt(() => read(text))
    if (value !== undefined) return value
    const shown = text.length > maximumQuotedLength ? `${text.slice(0, maximumQuotedLength)}…` : text
    context.addIssue({code: 'custom', message: `must be ${expected}, not "${shown}"`})
    return z.NEVER
  })
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

const booleans: Readonly<Record<string, boolean>> = {
  yes: true,
  true: true,
  on: true,
  '1': true,
  no: false,
  false: false,
  off: false,
  '0': false,
}

const matching =
  (form: RegExp) =>
  (text: string): string | undefined =>
    form.test(text) ? text : undefined

const roleForm = /^arn:aws[a-z-]*:iam::(\d{12}):role\/[\w+=,.@/-]+$/

/** The account in the ARN of an IAM role. */
export const accountOfRole = (arn: string): string | undefined => roleForm.exec(arn)?.[1]

/** A section of the file: no keys but these. A message's second line is its hint. */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const keys = Object.keys(shape).join(', ')
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? `is not a known key\nKeys here: ${keys}.` : undefined),
  })
}

export const text = z.string()

const labelKeyRule = 'is not a label key: it has spaces, =, commas or quotes'
export const labelKey = text.regex(/^[^\s=,"]+$/, {error: labelKeyRule})

export const flag = scalar('yes or no', (word) => booleans[word.toLowerCase()])
export const count = scalar('a whole number above zero', (word) =>
  /^[1-9]\d{0,8}$/.test(word) ? Number(word) : undefined,
)
/** Worker processes of a service. */
export const workers = scalar('auto or a whole number from 1 to 64', (word) => {
  if (word === 'auto') return word
  return /^[1-9]\d?$/.test(word) && Number(word) <= maximumWorkers ? Number(word) : undefined
})
/** In milliseconds. */
export const duration = scalar('a duration like 30s, 5m or 12h', parseDuration)
/** Days, in milliseconds. */
export const days = scalar('a number of days like 365d', (word) =>
  /^[1-9]\d{0,4}d$/.test(word) ? Number.parseInt(word, 10) * 86_400_000 : undefined,
)
/** Kept as text. */
export const timeout = scalar('a duration like 15m, or never', (word) => (parseTimeout(word) >= 0 ? word : undefined))
export const absolutePath = scalar('an absolute path', (path) => (isAbsolute(path) ? path : undefined))
export const awsRegion = scalar('an AWS region like us-west-1', (word) => (isAwsRegion(word) ? word : undefined))
export const awsAccount = scalar('an AWS account id of 12 digits', (word) => (isAwsAccountId(word) ? word : undefined))
export const roleArn = scalar('the ARN of an IAM role, arn:aws:iam::<12 digits>:role/<name>', matching(roleForm))
export const externalId = scalar(
  'an external id (2 to 1224 of A-Z a-z 0-9 + = , . @ : / -)',
  matching(/^[\w+=,.@:/-]{2,1224}$/),
)

/** An address to listen on; port 0 is any free one. */
export const listenAddress = (defaultPort?: number) =>
  scalar('an address to listen on like 0.0.0.0:3080', (word) => parseAddress(word, defaultPort))

/** An address that others dial. */
export const remoteAddress = (defaultPort?: number) =>
  scalar(`an address like host:${defaultPort ?? 3080}, without a scheme`, (word) => dialled(word, defaultPort))

/** An address that others dial, kept as text because its default port stands elsewhere in the file. */
export const publicAddress = scalar('an address like host or host:443, without a scheme', (word) =>
  dialled(word, 1) ? word : undefined,
)

/** An address as the key of a map. */
export const addressKey = text.refine((word) => attempt(() => dialled(word)) !== undefined, {
  error: 'is not a key here: write an endpoint like host:port',
})

function dialled(word: string, defaultPort?: number): Address | undefined {
  const address = parseAddress(word, defaultPort)
  return address.port === 0 || word.startsWith(':') ? undefined : address
}

/** One value, or a list of them. */
export const oneOrMore = <T extends z.ZodType>(item: T) =>
  z.preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(item))

/**
 * A key whose setting would be ignored: refused unless it says what Postern does anyway, because a setting that
 * protects somewhere else must not look as if it protected here.
 */
export const refused = (why: string, harmless: readonly string[] = []) =>
  z
    .unknown()
    .superRefine((value, context) => {
      if (value === undefined || (typeof value === 'string' && harmless.includes(value.toLowerCase()))) return
      context.addIssue({code: 'custom', message: `cannot be set: ${why}`})
    })
    .optional()

/** What zod finds, in our own words; checks above bring their own. */
export function explainIssue(issue: z.core.$ZodRawIssue): string {
  if (issue.input === undefined) return 'is missing'
  if (issue.code === 'invalid_type') {
    if (issue.expected === 'object' || issue.expected === 'record') return 'must be a block of keys'
    return issue.expected === 'array' ? 'must be a list' : 'must be a single value'
  }
  if (issue.code === 'too_small') return 'must not be empty'
  if (issue.code === 'invalid_value') return `must be one of ${issue.values.map(String).join(', ')}`
  return issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? labelKeyRule) : 'is not valid'
}
