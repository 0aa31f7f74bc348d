import {z} from 'zod'
import {PosternError} from '../core/errors.js'
import {findExtension} from './der.js'

/** The extension that carries the identity, on the arc that is free for anyone (ITU-T X.667); 31 bits, as the X.509 library cuts longer ones. */
export const identityOid = '2.25.1584301337'

/** An identity is small; anything larger is an attack or a mistake. */
export const maximumIdentityBytes = 8192

const name = z.string().min(1).max(256)
const names = z.array(name).max(256)
const traits = z.record(z.string().max(128), z.array(z.string().max(1024)).max(256))

const routeSchema = z.strictObject({
  database: name,
  protocol: z.literal('postgres'),
  dbUser: z.string().max(2048),
  dbName: z.string().max(256),
  dbRoles: names,
})

const userSchema = z
  .strictObject({
    kind: z.literal('user'),
    /** `login` is for the API, `db` for agents; neither is taken for the other. */
    usage: z.enum(['login', 'db']),
    user: name,
    roles: names,
    traits,
    route: routeSchema.optional(),
    /** End of the login this certificate comes from, RFC 3339: a derived certificate never outlives it. */
    loginExpires: z.iso.datetime(),
    /** An identity file that an administrator made renewable: until when, RFC 3339, and for how long each time. */
    renewable: z.strictObject({until: z.iso.datetime(), ttlSeconds: z.number().int().positive()}).optional(),
  })
  .refine(({usage, renewable}) => usage === 'login' || renewable === undefined, 'only a login can be renewable')
  .refine(
    ({usage, route}) => (usage === 'db') === (route !== undefined),
    'a route belongs to the usage db, and only there',
  )

export const systemRoles = ['Auth', 'Proxy', 'Db', 'Discovery', 'Admin'] as const

const hostSchema = z.strictObject({
  kind: z.literal('host'),
  hostId: z.uuid(),
  systemRoles: z.array(z.enum(systemRoles)).min(1),
  /** The scope that the join token gave: names the host may serve; absent means any. */
  databases: names.optional(),
  /** The scope by labels: a database must carry them all. */
  labels: z.record(z.string().max(256), z.string().max(256)).optional(),
})

export const identitySchema = z.discriminatedUnion('kind', [userSchema, hostSchema])

export type SystemRole = (typeof systemRoles)[number]
export type DatabaseRoute = z.infer<typeof routeSchema>
export type UserIdentity = z.infer<typeof userSchema>
export type HostIdentity = z.infer<typeof hostSchema>
/** Who a certificate speaks for. */
export type Identity = z.infer<typeof identitySchema>

/** The extension's value. @throws PosternError INVALID when the identity breaks its schema or is too large. */
export function encodeIdentity(identity: Identity): Buffer {
  const checked = identitySchema.safeParse(identity)
  if (!checked.success) {
    throw new PosternError('INVALID', 'The identity does not fit into a certificate.', {cause: checked.error})
  }
  const bytes = Buffer.from(JSON.stringify(checked.data), 'utf8')
  if (bytes.length > maximumIdentityBytes) {
    throw new PosternError('INVALID', `The identity is larger than ${maximumIdentityBytes} bytes.`, {
      hint: 'Give the user fewer or shorter roles and traits.',
    })
  }
  return bytes
}

/** The identity in a DER certificate. @throws PosternError ACCESS_DENIED when it carries none, or a malformed one. */
export function decodeIdentity(certificate: Buffer): Identity {
  const bytes = findExtension(certificate, identityOid)
  const refused = (why: string, cause?: unknown): PosternError =>
    new PosternError('ACCESS_DENIED', `The certificate ${why}.`, {cause})
  if (!bytes) throw refused('carries no identity of this system')
  if (bytes.length > maximumIdentityBytes)
    throw refused(`carries an identity larger than ${maximumIdentityBytes} bytes`)
  try {
    return identitySchema.parse(JSON.parse(new TextDecoder('utf-8', {fatal: true}).decode(bytes)))
  } catch (error) {
    throw refused('carries a malformed identity', error)
  }
}
