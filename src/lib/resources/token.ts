import {z} from 'zod'
import {labelMap, metadataSchema} from './metadata.js'

/** What may join with a token. */
export const joinRoles = ['Db', 'Proxy', 'Discovery'] as const
export type JoinRole = (typeof joinRoles)[number]

/** How a host proves that it may join: by a secret, or by its identity in AWS. */
export const joinMethods = ['token', 'iam'] as const
export type JoinMethod = (typeof joinMethods)[number]

/** Shorter secrets can be guessed. */
export const minimumSecretLength = 16

const maximumAllowRules = 64

/** An identity of AWS that may join. */
const allowRule = z
  .strictObject({
    aws_account: z
      .string()
      .regex(/^\d{12}$/, 'must have the 12 digits of an AWS account, in quotes')
      .optional(),
    /** As sts:GetCallerIdentity answers it; `*` is any text and `?` any character, within a part between colons. */
    aws_arn: z
      .string()
      .max(2048)
      .regex(
        /^arn:[^:*?]+:(sts|iam)::\d{12}:./,
        'must be like arn:aws:sts::111122223333:assumed-role/NAME/*, with the account written out',
      )
      .optional(),
  })
  .refine((rule) => rule.aws_account ?? rule.aws_arn, 'must have an aws_account or an aws_arn')
export type AllowRule = z.infer<typeof allowRule>

/** A join token; for the method `token` its name is the secret itself, for `iam` it is a name like any other. */
export const tokenSchema = z
  .strictObject({
    kind: z.literal('token'),
    version: z.literal('v2'),
    metadata: metadataSchema,
    spec: z.strictObject({
      roles: z.array(z.enum(joinRoles)).min(1),
      join_method: z.enum(joinMethods).default('token'),
      /** For the method `iam`: a joining host must satisfy one of these, in all its fields. */
      allow: z.array(allowRule).min(1).max(maximumAllowRules).optional(),
      /** The databases that a joining agent may serve; absent means any. A database must be named and carry all labels. */
      databases: z.strictObject({names: z.array(z.string().min(1)).optional(), labels: labelMap.optional()}).optional(),
    }),
  })
  .superRefine(({metadata, spec}, context) => {
    const issue = (path: string[], message: string): void => {
      context.addIssue({code: 'custom', path, message})
    }
    if (spec.join_method === 'iam') {
      if (!spec.allow) issue(['spec', 'allow'], 'must name the AWS accounts or ARNs that may join')
      return
    }
    if (spec.allow) issue(['spec', 'allow'], 'is for the join method iam')
    // What listings show of a token: the few characters that are left could be guessed.
    if (metadata.name.startsWith('***')) {
      issue(['metadata', 'name'], 'is the masked form of a secret; `postern get token --with-secrets` prints it whole')
    }
    if (metadata.name.length < minimumSecretLength) {
      issue(['metadata', 'name'], `must have at least ${minimumSecretLength} characters: it is the secret`)
    }
  })

export type Token = z.infer<typeof tokenSchema>
