import {z} from 'zod'
import {labelMap, metadataSchema} from './metadata.js'

/** No dots, so that it fits into one label of a server name; at most 63 characters; unique ignoring case. */
const databaseName = z
  .string()
  .max(63)
  .regex(/^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/, 'must be letters, digits and inner hyphens, and begin with a letter')

const isPort = (port: number): boolean => port >= 1 && port <= 65_535

export const tlsModes = ['verify-full', 'verify-ca', 'insecure'] as const

const tls = z.strictObject({
  mode: z.enum(tlsModes).optional(),
  server_name: z.string().max(253).optional(),
  /** PEM. */
  ca_cert: z.string().max(262_144).optional(),
  trust_system_cert_pool: z.boolean().optional(),
})

/** Whether the agent's identity has been given its permission, where agents see to that by themselves. */
const iamPolicyStatus = z.enum([
  'IAM_POLICY_STATUS_UNSPECIFIED',
  'IAM_POLICY_STATUS_PENDING',
  'IAM_POLICY_STATUS_FAILED',
  'IAM_POLICY_STATUS_SUCCESS',
])
export type IamPolicyStatus = z.infer<typeof iamPolicyStatus>

const aws = z.strictObject({
  region: z.string().max(64).optional(),
  account_id: z
    .string()
    .regex(/^\d{12}$/, 'must be 12 digits')
    .optional(),
  assume_role_arn: z.string().max(2048).optional(),
  external_id: z.string().max(1224).optional(),
  rds: z
    .strictObject({
      instance_id: z.string().optional(),
      cluster_id: z.string().optional(),
      resource_id: z.string().optional(),
      iam_auth: z.boolean().optional(),
    })
    .optional(),
  rdsproxy: z
    .strictObject({
      name: z.string().optional(),
      custom_endpoint_name: z.string().optional(),
      resource_id: z.string().optional(),
    })
    .optional(),
  redshift: z.strictObject({cluster_id: z.string().optional()}).optional(),
  redshift_serverless: z
    .strictObject({
      workgroup_name: z.string().optional(),
      endpoint_name: z.string().optional(),
      workgroup_id: z.string().optional(),
    })
    .optional(),
  session_tags: labelMap.optional(),
  iam_policy_status: iamPolicyStatus.optional(),
})

export const databaseSchema = z.strictObject({
  kind: z.literal('db'),
  version: z.literal('v3'),
  metadata: metadataSchema.extend({name: databaseName}),
  spec: z.strictObject({
    protocol: z.literal('postgres'),
    /** `host:port` */
    uri: z
      .string()
      .max(512)
      .regex(/^(\[[0-9a-fA-F:.]+\]|[-.\w]+):\d{1,5}$/, 'must be host:port')
      .refine((uri) => isPort(Number(uri.slice(uri.lastIndexOf(':') + 1))), 'must end with a port between 1 and 65535'),
    tls: tls.optional(),
    aws: aws.optional(),
    /** A user of the database that may look at the others: to say why one of them is refused. */
    admin_user: z
      .strictObject({name: z.string().min(1).max(63), default_database: z.string().max(63).optional()})
      .optional(),
  }),
  status: z.strictObject({}).loose().optional(),
})

export type Database = z.infer<typeof databaseSchema>
