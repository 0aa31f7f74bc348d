import {z} from 'zod'
import {recordingMode} from '../resources/session-recording-config.js'
import {
  absolutePath,
  addressKey,
  awsAccount,
  awsRegion,
  count,
  days,
  duration,
  externalId,
  flag,
  labelKey,
  listenAddress,
  oneOrMore,
  publicAddress,
  refused,
  remoteAddress,
  roleArn,
  section,
  text,
  timeout,
  workers,
} from './scalars.js'

/** Where agents dial when the file gives no port. */
export const defaultProxyPort = 3080
export const defaultAuthPort = 3025

const off = ['no', 'false', 'off', '0']
const notYet = (what: string): string => `${what} is not supported yet`

/** Accepted because files carry it, and said in a warning: it changes nothing here. */
const withoutEffect = z.unknown().optional()

const tokenMethods = [
  'token',
  'ec2',
  'iam',
  'github',
  'gitlab',
  'circleci',
  'kubernetes',
  'azure',
  'gcp',
  'tpm',
] as const

const joinParams = section({
  method: z.enum(tokenMethods),
  token_name: text.optional(),
  azure: refused(notYet('joining by Azure identity')),
})

const log = section({
  output: text.optional(),
  severity: z.enum(['err', 'error', 'warn', 'warning', 'info', 'debug', 'trace']).optional(),
  format: section({
    output: z.enum(['text', 'json']).optional(),
    extra_fields: z.array(z.enum(['level', 'timestamp', 'component', 'caller'])).optional(),
  }).optional(),
})

const instance = section({
  nodename: text.optional(),
  data_dir: absolutePath.optional(),
  pid_file: absolutePath.optional(),
  auth_token: text.optional(),
  join_params: joinParams.optional(),
  proxy_server: remoteAddress(defaultProxyPort).optional(),
  auth_server: remoteAddress(defaultAuthPort).optional(),
  auth_servers: refused('version v3 knows auth_server and proxy_server instead'),
  ca_pin: oneOrMore(text).optional(),
  diag_addr: listenAddress().optional(),
  advertise_ip: withoutEffect,
  log: log.optional(),
  connection_limits: section({
    max_connections: count.optional(),
    rates: refused(notYet('a rate limit')),
  }).optional(),
  cache: withoutEffect,
  ciphersuites: refused('every connection of Postern is TLS 1.3 with its own cipher suites'),
  ciphers: withoutEffect,
  kex_algos: withoutEffect,
  mac_algos: withoutEffect,
  storage: section({type: z.enum(['sqlite'], {error: notYet('must be sqlite: other storage')}).optional()}).optional(),
})

const noSecondFactor = refused(notYet('a second factor'), ['off', 'false'])

const authentication = section({
  type: z.enum(['local'], {error: notYet('must be local: sign-in through another system')}).optional(),
  second_factor: noSecondFactor,
  second_factors: noSecondFactor,
  webauthn: noSecondFactor,
  require_session_mfa: refused(notYet('a second factor'), off),
  connector_name: refused(notYet('sign-in through another system')),
  locking_mode: z.enum(['strict', 'best_effort']).optional(),
  device_trust: section({mode: refused(notYet('device trust'), off)}).optional(),
  default_session_ttl: duration.optional(),
})

const keypair = section({key_file: absolutePath, cert_file: absolutePath})

const authService = section({
  enabled: flag.optional(),
  listen_addr: listenAddress(defaultAuthPort).optional(),
  cluster_name: text.optional(),
  public_addr: oneOrMore(publicAddress).optional(),
  https_keypairs: z.array(keypair).optional(),
  tokens: z.array(text).optional(),
  session_recording: recordingMode.optional(),
  retention: section({events: days.optional(), recordings: days.optional()}).optional(),
  authentication: authentication.optional(),
  client_idle_timeout: timeout.optional(),
  disconnect_expired_cert: flag.optional(),
  keep_alive_interval: withoutEffect,
  keep_alive_count_max: withoutEffect,
  proxy_listener_mode: z.enum(['multiplex'], {error: 'must be multiplex: the proxy has one port'}).optional(),
  routing_strategy: withoutEffect,
  web_idle_timeout: withoutEffect,
  license_file: withoutEffect,
})

const proxyService = section({
  enabled: flag.optional(),
  web_listen_addr: listenAddress(defaultProxyPort).optional(),
  public_addr: oneOrMore(publicAddress).optional(),
  workers: workers.optional(),
  https_keypairs: z.array(keypair).optional(),
  https_keypairs_reload_interval: refused(notYet('reloading key pairs'), ['0', '0s']),
  acme: section({enabled: refused(notYet('ACME'), off), email: withoutEffect}).optional(),
  proxy_protocol: refused(notYet('the PROXY protocol'), off),
  trust_x_forwarded_for: refused('the proxy is blind and reads no HTTP headers', off),
  listen_addr: withoutEffect,
  tunnel_listen_addr: withoutEffect,
  peer_listen_addr: withoutEffect,
  postgres_listen_addr: withoutEffect,
  postgres_public_addr: withoutEffect,
  mysql_listen_addr: withoutEffect,
  mongo_listen_addr: withoutEffect,
})

const labelValue = text.optional().transform((value) => value ?? '')
const labels = z.record(labelKey, labelValue)
const labelSelector = z.record(labelKey, oneOrMore(text))

export const awsMatcherTypes = ['rds', 'rdsproxy', 'redshift', 'redshift-serverless'] as const

const matcher = section({
  types: z.array(z.enum(awsMatcherTypes)).min(1),
  regions: z.array(awsRegion).min(1),
  tags: labelSelector.optional(),
  assume_role_arn: roleArn.optional(),
  external_id: externalId.optional(),
})

const database = section({
  name: text.optional(),
  description: text.max(1024, {error: 'must be at most 1024 characters long'}).optional(),
  protocol: text.optional(),
  uri: text.optional(),
  ca_cert_file: text.optional(),
  tls: section({
    mode: text.optional(),
    server_name: text.optional(),
    ca_cert_file: text.optional(),
    trust_system_cert_pool: flag.optional(),
  }).optional(),
  admin_user: section({name: text.optional(), default_database: text.optional()}).optional(),
  static_labels: labels.optional(),
  dynamic_labels: z.array(section({name: labelKey, period: duration, command: z.array(text).min(1)})).optional(),
  aws: section({
    region: awsRegion.optional(),
    account_id: awsAccount.optional(),
    assume_role_arn: roleArn.optional(),
    external_id: externalId.optional(),
    redshift: section({cluster_id: text.optional()}).optional(),
    redshift_serverless: section({workgroup_name: text.optional(), endpoint_name: text.optional()}).optional(),
    rds: section({instance_id: text.optional(), cluster_id: text.optional()}).optional(),
    session_tags: labels.optional(),
  }).optional(),
})

const dbService = section({
  enabled: flag.optional(),
  resources: z
    .array(
      section({
        labels: labelSelector,
        aws: section({assume_role_arn: roleArn.optional(), external_id: externalId.optional()}).optional(),
      }),
    )
    .optional(),
  aws: z.array(matcher).optional(),
  azure: refused('Postern does not look for databases in Azure'),
  databases: z.array(database).optional(),
  cache_ttl: duration.optional(),
  max_stale: duration.optional(),
  allow_loopback: flag.optional(),
  allowed_assume_roles: z.array(text).optional(),
  iam_policy: z.enum(['auto', 'manual']).optional(),
  connect_addrs: z.record(addressKey, remoteAddress()).optional(),
  workers: workers.optional(),
  direct_addr: listenAddress().optional(),
  direct_public_addr: publicAddress.optional(),
})

const discoveryService = section({
  enabled: flag.optional(),
  discovery_group: text.optional(),
  poll_interval: duration.optional(),
  aws: z.array(matcher).optional(),
  azure: refused('Postern does not look for databases in Azure'),
  gcp: refused('Postern does not look for databases in Google Cloud'),
  kubernetes: refused('Postern does not look for databases in Kubernetes'),
  access_graph: refused('Postern has no access graph'),
})

/** Services of other systems: files carry them switched off. */
const foreignService = section({
  enabled: flag.refine((enabled) => !enabled, {error: 'must be no: Postern has no such service'}),
})

/** The file, as it is written. */
export const fileSchema = section({
  version: z.literal('v3', {
    error: (issue) => (issue.input === undefined ? 'is missing: write version: v3' : 'must be v3'),
  }),
  postern: instance.optional(),
  teleport: instance.optional(),
  auth_service: authService.optional(),
  proxy_service: proxyService.optional(),
  db_service: dbService.optional(),
  discovery_service: discoveryService.optional(),
  ssh_service: foreignService.optional(),
  app_service: foreignService.optional(),
  kubernetes_service: foreignService.optional(),
  windows_desktop_service: foreignService.optional(),
  debug_service: foreignService.optional(),
})

export type ConfigFile = z.infer<typeof fileSchema>
export type InstanceSection = z.infer<typeof instance>
export type DatabaseSection = z.infer<typeof database>
export type MatcherSection = z.infer<typeof matcher>

/** Keys that are read and change nothing, with the reason. */
export const keysWithoutEffect: readonly {readonly path: readonly string[]; readonly why: string}[] = [
  {path: ['postern', 'cache'], why: 'agents always keep a cache'},
  {path: ['postern', 'advertise_ip'], why: 'agents dial out and are not dialled'},
  {path: ['postern', 'connection_limits'], why: 'services have limits of their own'},
  ...['ciphers', 'kex_algos', 'mac_algos'].map((key) => ({path: ['postern', key], why: 'there is no SSH here'})),
  ...['keep_alive_interval', 'keep_alive_count_max', 'web_idle_timeout'].map((key) => ({
    path: ['auth_service', key],
    why: 'Postern has its own fixed intervals',
  })),
  {path: ['auth_service', 'routing_strategy'], why: 'a database name belongs to one database'},
  {path: ['auth_service', 'license_file'], why: 'Postern needs no license'},
  ...[
    'listen_addr',
    'tunnel_listen_addr',
    'peer_listen_addr',
    'postgres_listen_addr',
    'postgres_public_addr',
    'mysql_listen_addr',
    'mongo_listen_addr',
  ].map((key) => ({path: ['proxy_service', key], why: 'everything arrives on web_listen_addr'})),
]
