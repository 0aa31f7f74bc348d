import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {hostname, tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {PosternError} from '../../../src/lib/core/errors.js'
import {createAuthority} from '../../../src/lib/pki/issuing.js'
import {resolveToken} from '../../../src/lib/config/join.js'
import {loadConfig, parseConfig, type ConfigOptions} from '../../../src/lib/config/file.js'
import type {Config} from '../../../src/lib/config/settings.js'

const parse = (text: string, options: ConfigOptions = {}): Config =>
  parseConfig(text, {...options, name: 'postern.yaml'})

function refusal(text: string, options: ConfigOptions = {}): PosternError {
  try {
    parse(text, options)
  } catch (error) {
    if (error instanceof PosternError) return error
    throw error
  }
  throw new Error('the file was accepted')
}

let directory = ''
let authorities = ''

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'config-'))
  authorities = join(directory, 'ca.pem')
  const {certificate} = await createAuthority({cluster: 'test', type: 'db', now: Date.now()})
  await writeFile(authorities, `some words before\n${certificate}${certificate}`)
  await writeFile(join(directory, 'empty.pem'), 'nothing\n')
  await writeFile(join(directory, 'broken.pem'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
})

afterAll(async () => {
  await rm(directory, {recursive: true, force: true})
})

/** An agent whose file ends with these lines below `databases:`. */
const agent = (database: string): string => `version: v3
postern:
  proxy_server: postern.example.com:443
auth_service: {enabled: no}
proxy_service: {enabled: no}
db_service:
  enabled: yes
  databases:
${database}`

describe('a configuration file', () => {
  it('needs no more than its version', () => {
    expect(parse('version: v3')).toEqual({
      nodename: hostname(),
      dataDir: '/var/lib/postern',
      caPins: [],
      joinMethod: 'token',
      log: {output: 'stderr', level: 'info', format: 'text'},
      authService: {
        enabled: true,
        listenAddr: {host: '0.0.0.0', port: 3025},
        clusterName: expect.any(String),
        publicAddrs: [],
        httpsKeypairs: [],
        staticTokens: [],
        settings: {},
        retention: {},
        defaultSessionTtl: 43_200_000,
      },
      proxyService: {
        enabled: true,
        webListenAddr: {host: '0.0.0.0', port: 3080},
        publicAddrs: [],
        workers: 1,
      },
      dbService: {
        enabled: false,
        resources: [],
        aws: [],
        databases: [],
        iamPolicy: 'manual',
        cacheTtl: 20_000,
        maxStale: 3_600_000,
        allowLoopback: false,
        connectAddresses: new Map(),
        workers: 1,
      },
      discoveryService: {enabled: false, pollInterval: 300_000, aws: []},
      warnings: [],
    })
  })

  it('is read with everything in it', () => {
    const config = parse(
      `# a comment
version: v3
postern:
  nodename: host-1
  data_dir: /srv/postern
  pid_file: /run/postern.pid
  auth_token: "a secret"
  auth_server: auth.example.com
  ca_pin: sha256:${'0a'.repeat(32)}
  diag_addr: 127.0.0.1:3000
  log: {output: /var/log/postern.log, severity: WARN_PLACEHOLDER, format: {output: json, extra_fields: [level, timestamp]}}
auth_service:
  enabled: "yes"
  listen_addr: 127.0.0.1
  cluster_name: postern.example.com
  public_addr: auth.example.com
  tokens: ["db,proxy:abcdef", "Db:/etc/token"]
  session_recording: proxy-sync
  https_keypairs: [{key_file: /etc/key.pem, cert_file: /etc/cert.pem}]
  authentication: {type: local, second_factor: off, locking_mode: strict, default_session_ttl: 1h30m}
  client_idle_timeout: 15m
  disconnect_expired_cert: yes
  retention: {events: 400d, recordings: 90d}
proxy_service:
  enabled: on
  web_listen_addr: "[::1]:0"
  public_addr: [postern.example.com:443, other.example.com]
  workers: auto
  https_keypairs: [{key_file: /etc/key2.pem, cert_file: /etc/cert2.pem}]
db_service:
  enabled: 1
  resources:
  - labels: {env: [prod, dev], team: data}
    aws: {assume_role_arn: "arn:aws:iam::123456789012:role/r", external_id: ext-1}
  - labels: {"*": "*"}
  cache_ttl: 1m
  max_stale: 2h
  allow_loopback: true
  workers: 3
  direct_addr: 0.0.0.0:5433
  direct_public_addr: db1.internal
  allowed_assume_roles: ['arn:aws:iam::123456789012:role/*']
  connect_addrs: {'Aurora.example.com:5432': '10.0.0.5:6432'}
discovery_service:
  enabled: off
  discovery_group: prod
  poll_interval: 10m
  aws: [{types: [rds, redshift-serverless], regions: [us-west-1], tags: {env: prod}}]
ssh_service: {enabled: no}
`.replace('WARN_PLACEHOLDER', 'warning'),
    )
    expect(config).toMatchObject({
      nodename: 'host-1',
      dataDir: '/srv/postern',
      pidFile: '/run/postern.pid',
      authServer: {host: 'auth.example.com', port: 3025},
      caPins: [`sha256:${'0a'.repeat(32)}`],
      diagAddr: {host: '127.0.0.1', port: 3000},
      log: {output: {path: '/var/log/postern.log'}, level: 'warn', format: 'json'},
      authService: {
        enabled: true,
        listenAddr: {host: '127.0.0.1', port: 3025},
        clusterName: 'postern.example.com',
        publicAddrs: [{host: 'auth.example.com', port: 3025}],
        httpsKeypairs: [
          {keyFile: '/etc/key.pem', certFile: '/etc/cert.pem'},
          {keyFile: '/etc/key2.pem', certFile: '/etc/cert2.pem'},
        ],
        // What proxies of other systems record, agents record here.
        settings: {
          session_recording_config: {mode: 'node-sync'},
          cluster_networking_config: {client_idle_timeout: '15m'},
          cluster_auth_preference: {disconnect_expired_cert: true, locking_mode: 'strict'},
        },
        retention: {events: 34_560_000_000, recordings: 7_776_000_000},
        defaultSessionTtl: 5_400_000,
      },
      proxyService: {
        enabled: true,
        webListenAddr: {host: '::1', port: 0},
        publicAddrs: [
          {host: 'postern.example.com', port: 443},
          {host: 'other.example.com', port: 3080},
        ],
        workers: 'auto',
      },
      dbService: {
        enabled: true,
        resources: [
          {
            labels: {env: ['prod', 'dev'], team: ['data']},
            assumeRoleArn: 'arn:aws:iam::123456789012:role/r',
            externalId: 'ext-1',
          },
          {labels: {'*': ['*']}},
        ],
        cacheTtl: 60_000,
        maxStale: 7_200_000,
        allowLoopback: true,
        allowedAssumeRoles: ['arn:aws:iam::123456789012:role/*'],
        connectAddresses: new Map([['aurora.example.com:5432', {host: '10.0.0.5', port: 6432}]]),
        workers: 3,
      },
      discoveryService: {
        enabled: false,
        discoveryGroup: 'prod',
        pollInterval: 600_000,
        aws: [{types: ['rds', 'redshift-serverless'], regions: ['us-west-1'], tags: {env: ['prod']}}],
      },
      warnings: [],
    })
    expect(config.joinToken).toMatchObject({token: {}})
    expect(config.authService.staticTokens).toMatchObject([
      {roles: ['Db', 'Proxy']},
      {roles: ['Db'], source: {path: '/etc/token'}},
    ])
    expect(JSON.stringify(config)).not.toMatch(/a secret|abcdef/)
  })

  it('may call its first section teleport, but not both names', () => {
    expect(parse('version: v3\nteleport: {nodename: n1}').nodename).toBe('n1')
    expect(refusal('version: v3\nteleport: {nodename: a}\npostern: {nodename: b}').message).toBe(
      'postern.yaml line 2: teleport and postern are the same section under two names; keep one of them.',
    )
    expect(refusal('version: v3\nteleport:\n  nodename: a\n  data_dir: x').message).toMatch(
      /line 4: teleport\.data_dir /,
    )
  })

  it.each([
    ['yes', true],
    ['Yes', true],
    ['"true"', true],
    ["'on'", true],
    ['1', true],
    ['no', false],
    ['"no"', false],
    ['FALSE', false],
    ['off', false],
    ['"0"', false],
    ['', true],
  ])('takes enabled: %s', (word, enabled) => {
    expect(parse(`version: v3\nauth_service: {enabled: ${word}}\npostern: {auth_server: a}`).authService.enabled).toBe(
      enabled,
    )
  })

  it('takes an empty section, null and ~ for nothing', () => {
    const config = parse(
      'version: v3\npostern:\n  nodename: ~\n  pid_file: null\n  auth_token: ""\nauth_service:\ndb_service:\n  databases:\n',
    )
    expect(config).toMatchObject({nodename: hostname(), dbService: {databases: []}})
    expect(config.joinToken).toBeUndefined()
  })

  it('keeps scalars as they are written', () => {
    const config = parse(
      agent(`
  - name: rds
    protocol: postgres
    uri: pg.example.com:5432
    static_labels: {version: 1.10, zip: 0123, sure: yes, empty: }
    aws: {account_id: 012345678901}`),
    )
    expect(config.dbService.databases[0]?.resource).toMatchObject({
      metadata: {labels: {version: '1.10', zip: '0123', sure: 'yes', empty: ''}},
      spec: {aws: {account_id: '012345678901'}},
    })
  })

  it('expands anchors and merge keys', () => {
    const config = parse(`version: v3
db_service:
  resources:
  - &one {labels: {env: dev}}
  - <<: *one
    aws: {assume_role_arn: "arn:aws:iam::123456789012:role/r"}
`)
    expect(config.dbService.resources[1]).toMatchObject({labels: {env: ['dev']}, assumeRoleArn: expect.any(String)})
  })

  it('runs exactly the services asked for, and checks the file for those', () => {
    const text = 'version: v3\npostern: {proxy_server: "postern.example.com"}'
    expect(refusal(text).message).toMatch(/proxy_server cannot be set where proxy_service is enabled/)
    const config = parse(text, {roles: ['db']})
    expect([config.authService, config.proxyService, config.dbService].map(({enabled}) => enabled)).toEqual([
      false,
      false,
      true,
    ])
    expect(config.proxyServer).toEqual({host: 'postern.example.com', port: 3080})
  })

  it('names the cluster after the public address, else after the host', () => {
    expect(parse('version: v3\nproxy_service: {public_addr: "p.example.com:443"}').authService.clusterName).toBe(
      'p.example.com',
    )
    expect(parse('version: v3\npostern: {nodename: Host-1}').authService.clusterName).toBe('host-1')
    expect(parse('version: v3\npostern: {nodename: "host_1"}').authService.clusterName).toBe('postern')
  })

  it('is found by its path, or the missing file is named', async () => {
    const path = join(directory, 'postern.yaml')
    await writeFile(path, 'version: v3\nenabled: yes\n')
    await expect(loadConfig(path)).rejects.toMatchObject({
      code: 'INVALID',
      message: `${path} line 2: enabled is not a known key.`,
    })
    await writeFile(path, 'version: v3\n')
    await expect(loadConfig(path)).resolves.toMatchObject({dataDir: '/var/lib/postern'})
    await expect(loadConfig(join(directory, 'none.yaml'))).rejects.toMatchObject({code: 'NOT_FOUND'})
  })
})

describe('a mistake is named with its key and line', () => {
  it.each([
    ['', /line 1: version is missing/],
    ['version: v2', /line 1: version must be v3/],
    ['- a\n- b', /line 1: the file must be a block of keys/],
    ['version: v3\npostern: text', /line 2: postern must be a block of keys/],
    ['version: v3\nnothing: 1', /line 2: nothing is not a known key/],
    ['version: v3\npostern:\n  data_dir: /a\n  data_dri: /b', /line 4: postern\.data_dri is not a known key/],
    [
      'version: v3\nteleport:\n  log:\n    format:\n      outptu: json',
      /line 5: teleport\.log\.format\.outptu is not a known key/,
    ],
    [
      'version: v3\nauth_service:\n  # comment\n  enabled: maybe',
      /line 4: auth_service\.enabled must be yes or no, not "maybe"/,
    ],
    ['version: v3\nauth_service: {enabled: [yes]}', /line 2: auth_service\.enabled must be a single value/],
    [
      'version: v3\ndb_service:\n  resources:\n  - labels: {a: b}\n  - labels: {a: b}\n    lables: {}',
      /line 6: db_service\.resources\[1\]\.lables is not a known key/,
    ],
    ['version: v3\npostern:\n  __proto__: 1', /line 3: postern\.__proto__ is not a known key/],
    ['version: v3\npostern:\n  data_dir: var', /line 3: postern\.data_dir must be an absolute path, not "var"/],
    ['version: v3\npostern:\n  diag_addr: localhost', /line 3: postern\.diag_addr must be an address to listen on/],
    [
      'version: v3\npostern:\n  auth_server: https://a:1',
      /line 3: postern\.auth_server must be an address like host:3025, without a scheme/,
    ],
    ['version: v3\npostern:\n  log: {severity: loud}', /line 3: postern\.log\.severity must be one of err, error/],
    [
      'version: v3\npostern:\n  log: {output: syslog}',
      /line 3: postern\.log\.output must be stderr, stdout or an absolute path/,
    ],
    [
      'version: v3\npostern:\n  connection_limits: {max_connections: -1}',
      /max_connections must be a whole number above zero, not "-1"/,
    ],
    ['version: v3\npostern:\n  ca_pin:\n  - sha256:00', /line 4: postern\.ca_pin\[0\] must be sha256/],
    [
      'version: v3\nauth_service:\n  authentication: {default_session_ttl: 12}',
      /default_session_ttl must be a duration like 30s, 5m or 12h, not "12"/,
    ],
    ['version: v3\nauth_service:\n  cluster_name: My Cluster', /line 3: auth_service\.cluster_name must be lower-case/],
    [
      'version: v3\nproxy_service:\n  public_addr: [a, "b:x"]',
      /line 3: proxy_service\.public_addr\[1\] must be an address/,
    ],
    [
      'version: v3\nproxy_service:\n  https_keypairs: [{key_file: /a}]',
      /line 3: proxy_service\.https_keypairs\[0\]\.cert_file is missing/,
    ],
    [
      'version: v3\ndb_service:\n  resources: [{labels: {}}]',
      /line 3: db_service\.resources\[0\]\.labels must not be empty/,
    ],
    [
      'version: v3\ndb_service:\n  resources:\n  - labels: {a: b}\n    aws: {external_id: ext}',
      /line 5: db_service\.resources\[0\]\.aws\.external_id needs assume_role_arn/,
    ],
    [
      'version: v3\ndb_service:\n  aws: [{types: [rds, elasticache], regions: [us-west-1]}]',
      /types\[1\] must be one of rds, rdsproxy, redshift, redshift-serverless/,
    ],
    ['version: v3\ndb_service:\n  aws: [{types: [], regions: [us-west-1]}]', /types must not be empty/],
    [
      'version: v3\ndb_service:\n  aws: [{types: [rds], regions: [mars]}]',
      /regions\[0\] must be an AWS region like us-west-1, not "mars"/,
    ],
    [
      'version: v3\ndb_service:\n  aws: [{types: [rds], regions: [us-west-1], external_id: ext}]',
      /external_id needs assume_role_arn/,
    ],
    [
      'version: v3\ndiscovery_service:\n  aws: [{types: [rds], regions: [us-west-1], assume_role_arn: "arn:aws:iam::1:role/r"}]',
      /assume_role_arn must be the ARN of an IAM role/,
    ],
    [
      'version: v3\ndb_service:\n  direct_addr: 0.0.0.0:5433',
      /direct_addr 0\.0\.0\.0 is no address that clients could dial/,
    ],
    [
      'version: v3\ndb_service:\n  direct_addr: 0.0.0.0:5433\n  direct_public_addr: 169.254.1.1',
      /line 4: db_service\.direct_public_addr 169\.254\.1\.1 is no address/,
    ],
    [
      'version: v3\ndb_service:\n  direct_public_addr: db1.internal',
      /line 3: db_service\.direct_public_addr needs direct_addr/,
    ],
    ['version: v3\ndb_service:\n  cache_ttl: 6m', /line 3: db_service\.cache_ttl must be more than 0 and at most 5m/],
    [
      'version: v3\ndb_service:\n  workers: 65',
      /line 3: db_service\.workers must be auto or a whole number from 1 to 64/,
    ],
    ['version: v3\nproxy_service:\n  workers: 0', /line 3: proxy_service\.workers must be auto or a whole number/],
    [
      'version: v3\nauth_service:\n  retention: {events: 30d, recordings: 31d}',
      /line 3: auth_service\.retention\.recordings must not be longer than events/,
    ],
    [
      'version: v3\nauth_service:\n  retention: {events: 90}',
      /auth_service\.retention\.events must be a number of days like 365d, not "90"/,
    ],
    ['version: v3\ndb_service:\n  max_stale: 1s', /line 3: db_service\.max_stale must not be shorter than cache_ttl/],
  ])('%j', (text, message) => {
    const error = refusal(text)
    expect(error).toMatchObject({code: 'INVALID', message: expect.stringMatching(/^postern\.yaml line \d+: /)})
    expect(error.message).toMatch(message)
  })

  it('knows the keys that would have been right', () => {
    expect(refusal('version: v3\ndb_service:\n  ressources: []').hints[0]).toMatch(/^Keys here: enabled, resources, /)
  })

  it('lists every mistake, in the order of the file', () => {
    const error = refusal('version: v3\ndb_service:\n  enabled: x\npostern:\n  data_dir: y\n  foo: z')
    expect(error.message).toMatch(/line 3/)
    expect(error.hints).toEqual([
      'Also postern.yaml line 5: postern.data_dir must be an absolute path, not "y".',
      'Also postern.yaml line 6: postern.foo is not a known key.',
    ])
  })

  it.each([
    ['version: v3\nversion: v3', 'postern.yaml line 2: this is not valid YAML: a key is written twice.'],
    [
      'version: v3\npostern:\n\tnodename: a',
      'postern.yaml line 3: this is not valid YAML: a tab is used for indentation.',
    ],
    ['version: v3\n---\nversion: v3', 'postern.yaml line 2: this is not valid YAML: it holds more than one document.'],
    ['version: !v v3', 'postern.yaml line 1: this is not valid YAML: tags (a leading !) are not used in this file.'],
    ['version: v3\npostern: *gone', /^postern\.yaml line 2: this is not valid YAML: |^postern\.yaml: its aliases/],
    ['version: "v3', /^postern\.yaml line 1: this is not valid YAML: /],
  ])('says what is not YAML: %j', (text, message) => {
    expect(refusal(text).message).toMatch(message)
  })

  it.each([
    ['brackets', '['],
    ['lists', '- '],
    ['maps', 'a: {'],
  ])('refuses %s that are nested deeply, which take the parser down', (_, word) => {
    expect(refusal(word.repeat(5000)).message).toBe('postern.yaml is nested too deeply.')
  })

  it('refuses aliases that expand to too much', () => {
    const layers = Array.from({length: 12}, (_, n) => `l${n + 1}: &l${n + 1} [${Array(9).fill(`*l${n}`).join(', ')}]`)
    expect(refusal(`version: v3\nl0: &l0 [x]\n${layers.join('\n')}`).message).toMatch(/aliases expand to too much/)
  })
})

describe('addresses to join through', () => {
  const services = (auth: boolean, proxy: boolean, db: boolean): string =>
    `auth_service: {enabled: ${String(auth)}}\nproxy_service: {enabled: ${String(proxy)}}\ndb_service: {enabled: ${String(db)}}`

  it.each([
    [
      'both at once',
      'postern:\n  proxy_server: p\n  auth_server: a',
      services(true, false, false),
      /line 4: postern\.auth_server cannot be set together with proxy_server/,
    ],
    [
      'a proxy_server for the proxy',
      'postern:\n  proxy_server: p',
      services(true, true, false),
      /line 3: postern\.proxy_server cannot be set where proxy_service is enabled/,
    ],
    [
      'the list of version v2',
      'postern:\n  auth_servers: [a]',
      services(true, true, false),
      /line 3: postern\.auth_servers cannot be set/,
    ],
    [
      'an agent with auth_server only',
      'postern:\n  auth_server: a',
      services(false, false, true),
      /line 3: postern\.auth_server is not enough for db_service/,
    ],
    ['an agent with none', 'postern: {}', services(false, false, true), /line 5: db_service needs proxy_server/],
    ['a proxy alone with none', 'postern: {}', services(false, true, false), /line 4: proxy_service needs auth_server/],
  ])('refuses %s', (_, postern, rest, message) => {
    expect(refusal(`version: v3\n${postern}\n${rest}`).message).toMatch(message)
  })

  it.each([
    ['everything in one process', 'postern: {}', services(true, true, true)],
    ['an agent', 'postern: {proxy_server: "p:443"}', services(false, false, true)],
    ['a proxy alone', 'postern: {auth_server: "a:3025"}', services(false, true, false)],
    ['a proxy with an agent', 'postern: {auth_server: "a:3025"}', services(false, true, true)],
    ['a control plane alone', 'postern: {}', services(true, false, false)],
  ])('accepts %s', (_, postern, rest) => {
    expect(() => parse(`version: v3\n${postern}\n${rest}`)).not.toThrow()
  })
})

describe('joining', () => {
  it('takes join_params with the method token as auth_token', () => {
    const config = parse('version: v3\npostern:\n  join_params: {method: token, token_name: /etc/token}')
    expect(config.joinToken).toEqual({path: '/etc/token'})
    expect(config.joinMethod).toBe('token')
  })

  it('takes the method iam with the name of a token', async () => {
    const config = parse('version: v3\npostern:\n  join_params: {method: iam, token_name: aws-agents}')
    expect(config.joinMethod).toBe('iam')
    expect((await resolveToken(config))?.reveal()).toBe('aws-agents')
  })

  it.each([
    [
      'auth_token: a\n  join_params: {method: token, token_name: b}',
      /line 4: postern\.join_params cannot be set together with auth_token/,
    ],
    [
      'join_params: {method: ec2, token_name: b}',
      /line 3: postern\.join_params\.method is ec2, which is not supported yet; use token or iam/,
    ],
    ['join_params: {method: magic, token_name: b}', /line 3: postern\.join_params\.method must be one of token, /],
    ['join_params: {method: iam, token_name: /etc/token}', /line 3: postern\.join_params\.token_name must be the name/],
    ['join_params: {method: token}', /line 3: postern\.join_params\.token_name is missing/],
    ['join_params: {join_method: token}', /line 3: postern\.join_params\.method is missing/],
  ])('refuses %j', (lines, message) => {
    expect(refusal(`version: v3\npostern:\n  ${lines}`).message).toMatch(message)
  })

  it('never shows a token in an error', () => {
    const error = refusal(
      'version: v3\nauth_service:\n  tokens: ["node:hush-hush"]\npostern:\n  auth_token: [hush-hush]',
    )
    expect(`${error.message} ${error.hints.join(' ')}`).not.toContain('hush')
    expect(refusal('version: v3\nauth_service:\n  tokens: ["node:hush-hush"]').message).toBe(
      'postern.yaml line 3: auth_service.tokens[0] must be types:token with the types db, proxy, discovery.',
    )
  })
})

describe('a setting that protects elsewhere and not here', () => {
  it.each([
    ['postern:\n  ciphersuites: [tls-rsa]', /postern\.ciphersuites cannot be set/],
    ['postern:\n  storage: {type: dynamodb}', /postern\.storage\.type must be sqlite/],
    [
      'postern:\n  connection_limits: {rates: [{period: 1m, average: 1, burst: 2}]}',
      /rates cannot be set: a rate limit is not supported yet/,
    ],
    [
      'auth_service:\n  authentication: {second_factors: [webauthn]}',
      /second_factors cannot be set: a second factor is not supported yet/,
    ],
    ['auth_service:\n  authentication: {second_factor: otp}', /second_factor cannot be set/],
    ['auth_service:\n  authentication: {require_session_mfa: yes}', /require_session_mfa cannot be set/],
    ['auth_service:\n  authentication: {type: saml}', /authentication\.type must be local/],
    ['auth_service:\n  authentication: {locking_mode: loose}', /locking_mode must be one of strict, best_effort/],
    ['auth_service:\n  authentication: {device_trust: {mode: required}}', /device_trust\.mode cannot be set/],
    ['auth_service:\n  session_recording: sometimes', /session_recording must be node, node-sync or off/],
    [
      'auth_service:\n  client_idle_timeout: soon',
      /client_idle_timeout must be a duration like 15m, or never, not "soon"/,
    ],
    ['auth_service:\n  disconnect_expired_cert: perhaps', /disconnect_expired_cert must be yes or no/],
    ['proxy_service:\n  proxy_protocol: on', /proxy_protocol cannot be set: the PROXY protocol is not supported yet/],
    ['proxy_service:\n  trust_x_forwarded_for: yes', /trust_x_forwarded_for cannot be set/],
    ['proxy_service:\n  acme: {enabled: yes, email: a@b}', /acme\.enabled cannot be set/],
    ['proxy_service:\n  https_keypairs_reload_interval: 1h', /https_keypairs_reload_interval cannot be set/],
    ['db_service:\n  azure: [{types: [postgres]}]', /db_service\.azure cannot be set/],
    ['ssh_service:\n  enabled: yes', /ssh_service\.enabled must be no: Postern has no such service/],
    ['ssh_service:\n  listen_addr: 0.0.0.0:3022', /ssh_service\.(listen_addr is not a known key|enabled is missing)/],
    [
      'auth_service: {enabled: no}\npostern: {auth_server: a}\nproxy_service:\n  https_keypairs: [{key_file: /k, cert_file: /c}]',
      /https_keypairs has no use on a proxy without the Auth Service/,
    ],
  ])('is refused: %j', (lines, message) => {
    expect(refusal(`version: v3\n${lines}`).message).toMatch(message)
  })

  it('is let through where it asks for what Postern does anyway', () => {
    const text = `version: v3
auth_service:
  authentication: {second_factor: off, require_session_mfa: no, device_trust: {mode: off}}
  client_idle_timeout: never
  proxy_listener_mode: multiplex
proxy_service: {acme: {enabled: no}, trust_x_forwarded_for: no}
postern: {storage: {type: sqlite}}
`
    expect(parse(text).warnings).toEqual([])
  })

  it('is named in a warning where it is harmless', () => {
    const config = parse(`version: v3
teleport:
  cache: {enabled: yes}
  ciphers: [aes]
  connection_limits: {max_connections: 10}
auth_service: {keep_alive_interval: 5m}
proxy_service:
  tunnel_listen_addr: 0.0.0.0:3024
discovery_service: {enabled: yes}
`)
    expect(config.warnings).toEqual([
      'postern.yaml line 3: teleport.cache has no effect: agents always keep a cache.',
      'postern.yaml line 4: teleport.ciphers has no effect: there is no SSH here.',
      'postern.yaml line 5: teleport.connection_limits has no effect: services have limits of their own.',
      'postern.yaml line 6: auth_service.keep_alive_interval has no effect: Postern has its own fixed intervals.',
      'postern.yaml line 8: proxy_service.tunnel_listen_addr has no effect: everything arrives on web_listen_addr.',
      'postern.yaml line 9: discovery_service finds nothing: it has no aws matchers.',
    ])
  })
})

describe('static databases', () => {
  it('become the resources that the agent announces', () => {
    const [database] = parse(
      agent(`  - name: aurora
    description: "first"
    protocol: postgres
    uri: c1.cluster-abcd.us-west-1.rds.amazonaws.com:5432
    tls: {mode: verify-ca, server_name: db.example.com, ca_cert_file: ${authorities}, trust_system_cert_pool: yes}
    admin_user: {name: admin, default_database: postgres}
    static_labels: {env: dev}
    dynamic_labels: [{name: host, period: 1m0s, command: [hostname, -f]}]
    aws: {assume_role_arn: "arn:aws:iam::123456789012:role/path/r", external_id: ext}`),
    ).dbService.databases
    expect(database).toEqual({
      type: 'rds',
      dynamicLabels: [{name: 'host', period: 60_000, command: ['hostname', '-f']}],
      resource: {
        kind: 'db',
        version: 'v3',
        metadata: {name: 'aurora', description: 'first', labels: {env: 'dev', 'postern.dev/origin': 'config-file'}},
        spec: {
          protocol: 'postgres',
          uri: 'c1.cluster-abcd.us-west-1.rds.amazonaws.com:5432',
          tls: {
            mode: 'verify-ca',
            server_name: 'db.example.com',
            ca_cert: expect.stringContaining('BEGIN CERTIFICATE'),
            trust_system_cert_pool: true,
          },
          aws: {
            region: 'us-west-1',
            account_id: '123456789012',
            assume_role_arn: 'arn:aws:iam::123456789012:role/path/r',
            external_id: 'ext',
            rds: {cluster_id: 'c1'},
          },
          admin_user: {name: 'admin', default_database: 'postgres'},
        },
      },
    })
  })

  const base = 'protocol: postgres\n    uri: pg.example.com:5432\n    '
  const redshiftServerless = 'wg.123456789012.us-east-1.redshift-serverless.amazonaws.com:5439'

  it.each([
    ['  - protocol: postgres\n    uri: a:1', 'line 9: A database has no name.'],
    [`  - name: a.b\n    ${base}`, 'line 9: Database "a.b" has a name that is not valid.'],
    [`  - name: ${'x'.repeat(64)}\n    ${base}`, `line 9: Database "${'x'.repeat(64)}" has a name that is not valid.`],
    ['  - name: a\n    uri: a:1', 'line 9: Database "a" has no protocol; Postern speaks postgres only.'],
    [
      '  - name: a\n    protocol: mysql\n    uri: a:1',
      'line 10: Database "a" has the protocol "mysql"; Postern speaks postgres only.',
    ],
    ['  - name: a\n    protocol: postgres', 'line 9: Database "a" has no uri.'],
    [
      '  - name: a\n    protocol: postgres\n    uri: host',
      'line 11: Database "a" has the uri "host", which is not host:port.',
    ],
    [
      '  - name: a\n    protocol: postgres\n    uri: host:0',
      'line 11: Database "a" has the uri "host:0", which is not host:port.',
    ],
    [
      '  - name: a\n    protocol: postgres\n    uri: :5432',
      'line 11: Database "a" has the uri ":5432", which is not host:port.',
    ],
    [
      '  - name: a\n    protocol: postgres\n    uri: postgres://h:1',
      'line 11: Database "a" has the uri "postgres://h:1", which is not host:port.',
    ],
    [
      `  - name: a\n    ${base}tls: {mode: strict}`,
      'line 12: Database "a" has an unknown tls.mode; it is one of verify-full, verify-ca, insecure.',
    ],
    [
      `  - name: a\n    ${base}tls: {ca_cert_file: /nowhere/ca.pem}`,
      'line 12: Database "a" names the CA file /nowhere/ca.pem, which cannot be read.',
    ],
    [
      `  - name: a\n    ${base}dynamic_labels: [{name: h, period: 10ms, command: [x]}]`,
      'line 12: Database "a" has a dynamic label that runs more than once a second.',
    ],
    [
      `  - name: a\n    ${base}aws: {external_id: ext}`,
      'line 12: Database "a" has an external_id without assume_role_arn.',
    ],
    [
      `  - name: a\n    ${base}aws: {redshift: {cluster_id: c}, external_id: ext}`,
      'line 12: Database "a" has an external_id without assume_role_arn.',
    ],
    [
      `  - name: a\n    ${base}aws: {redshift_serverless: {workgroup_name: w, endpoint_name: e}}`,
      'line 12: Database "a" names a workgroup and a VPC endpoint; one of them is enough.',
    ],
    [
      '  - name: a\n    protocol: postgres\n    uri: e.cluster-custom-abc.us-west-1.rds.amazonaws.com:5432',
      'line 11: Database "a" is a custom Aurora endpoint and needs aws.rds.cluster_id.',
    ],
    [
      '  - name: a\n    protocol: postgres\n    uri: c.redshift.amazonaws.com:5439',
      'line 11: Database "a" has a Redshift host that is not <cluster>.<id>.<region>.redshift.amazonaws.com.',
    ],
    [
      `  - name: a\n    protocol: postgres\n    uri: ${redshiftServerless}\n    admin_user: {name: x}`,
      'line 12: Database "a" is of the type redshift-serverless, which cannot have an admin user.',
    ],
    [`  - name: a\n    ${base}\n  - name: A\n    ${base}`, 'line 13: Database "A" is there twice.'],
  ])('are refused by their rules: %j', (database, message) => {
    expect(refusal(agent(database)).message).toBe(`postern.yaml ${message}`)
  })

  it.each([
    [`aws: {region: mars}`, /databases\[0\]\.aws\.region must be an AWS region/],
    [`aws: {account_id: "123"}`, /databases\[0\]\.aws\.account_id must be an AWS account id of 12 digits, not "123"/],
    [`aws: {assume_role_arn: "arn:aws:iam::123456789012:user/u"}`, /assume_role_arn must be the ARN of an IAM role/],
    [`aws: {elasticache: {}}`, /elasticache is not a known key/],
    [`static_labels: {"a b": c}`, /static_labels\.a b is not a label key/],
    [`dynamic_labels: [{name: h, command: [x]}]`, /dynamic_labels\[0\]\.period is missing/],
    [`dynamic_labels: [{name: h, period: 1m, command: hostname}]`, /dynamic_labels\[0\]\.command must be a list/],
    [`mysql: {server_version: "8"}`, /databases\[0\]\.mysql is not a known key/],
  ])('are refused by their form: %j', (line, message) => {
    const error = refusal(agent(`  - name: a\n    ${base}${line}`))
    expect(error.message).toMatch(/^postern\.yaml line 12: /)
    expect(error.message).toMatch(message)
  })

  it('must have a CA file that holds certificates', () => {
    for (const file of ['empty.pem', 'broken.pem']) {
      const path = join(directory, file)
      expect(refusal(agent(`  - name: a\n    ${base}tls: {ca_cert_file: ${path}}`)).message).toBe(
        `postern.yaml line 12: Database "a" names the CA file ${path}, which holds no certificate in PEM.`,
      )
    }
  })

  it('may use the old place of the CA file, with a warning; the new one wins', () => {
    const config = parse(agent(`  - name: a\n    ${base}ca_cert_file: ${authorities}`))
    expect(config.dbService.databases[0]?.resource.spec.tls?.ca_cert).toContain('BEGIN CERTIFICATE')
    expect(config.warnings).toEqual(['postern.yaml line 12: Database "a" uses ca_cert_file; write tls.ca_cert_file.'])
    const both = agent(`  - name: a\n    ${base}ca_cert_file: /nowhere\n    tls: {ca_cert_file: ${authorities}}`)
    expect(parse(both).dbService.databases).toHaveLength(1)
  })

  it('may have an external id without a role on Redshift Serverless', () => {
    const text = agent(
      `  - name: a\n    protocol: postgres\n    uri: ${redshiftServerless}\n    aws: {external_id: ext}`,
    )
    expect(parse(text).dbService.databases[0]?.type).toBe('redshift-serverless')
  })

  it('draw a warning where they ask for what is not there yet', () => {
    const config = parse(agent(`  - name: a\n    ${base}dynamic_labels: [{name: h, period: 1m, command: [x]}]`))
    expect(config.warnings).toEqual([
      'postern.yaml line 12: Database "a" has dynamic labels, which Postern does not use yet.',
    ])
  })

  it('draw a warning on AWS hosts of no known form', () => {
    const config = parse(agent('  - name: a\n    protocol: postgres\n    uri: pg.us-east-1.rds.amazonaws.com:5432'))
    expect(config.warnings).toEqual([
      'postern.yaml line 11: Database "a" is on AWS, but its uri is of no form known to Postern.',
    ])
  })

  it('may be sections of the guides', () => {
    const config = parse(
      agent(`  - name: "rds-postgres"
    protocol: "postgres"
    uri: "rds-postgres.abcdef012345.us-west-1.rds.amazonaws.com:5432"
    aws:
        assume_role_arn: "arn:aws:iam::123456789012:role/example-rds-access-role"
  aws:
    - types: ["redshift", "redshift-serverless"]
      regions: ["us-west-2"]
      assume_role_arn: "arn:aws:iam::123456789012:role/example-role-redshift-env-dev"
      tags:
        "env": "dev"
  resources:
    - labels:
        "env": "prod"
        "region": "us-west-1"
      aws:
        assume_role_arn: "arn:aws:iam::123456789012:role/access"
    - labels:
        "env": "dev"`),
    )
    expect(config.dbService.databases[0]?.resource.spec.aws).toEqual({
      region: 'us-west-1',
      account_id: '123456789012',
      assume_role_arn: 'arn:aws:iam::123456789012:role/example-rds-access-role',
      rds: {instance_id: 'rds-postgres'},
    })
    expect(config.dbService.resources).toHaveLength(2)
  })
})
