import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {startAuth} from '../../src/lib/auth/auth.js'
import type {Auth, AuthOptions} from '../../src/lib/auth/options.js'
import {ApiClient} from '../../src/lib/api/client.js'
import type {JoinResponse, LoginResponse} from '../../src/lib/api/responses.js'
import {readIdentityFile} from '../../src/lib/config/identity-file.js'
import {systemClock} from '../../src/lib/core/clock.js'
import {silentLogger} from '../../src/lib/core/log.js'
import type {Credentials} from '../../src/lib/pki/credentials.js'
import {generateKeys} from '../../src/lib/pki/keys.js'
import type {HealthStatus, TargetHealth} from '../../src/lib/resources/database-server.js'
import {authServerName} from '../../src/lib/resources/route.js'
import type {JoinRole} from '../../src/lib/resources/token.js'
import {patience} from './patience.js'

export const testCluster = 'test.example.com'
export const testPassword = 'correct horse battery'

export interface TestUser {
  readonly login: LoginResponse
  readonly credentials: Credentials
  readonly client: ApiClient
}

export interface TestHost {
  readonly joined: JoinResponse
  readonly credentials: Credentials
  readonly client: ApiClient
}

export interface TestAuth {
  readonly auth: Auth
  readonly options: AuthOptions
  readonly admin: ApiClient
  /** A client with this certificate, or with none. */
  readonly clientOf: (credentials?: Credentials) => ApiClient
  readonly addUser: (name: string, roles: string[], traits?: Record<string, string[]>) => Promise<TestUser>
  readonly logIn: (name: string, password?: string, ttlSeconds?: number) => Promise<TestUser>
  readonly joinHost: (
    role: JoinRole,
    databases?: {names?: string[]; labels?: Record<string, string>},
  ) => Promise<TestHost>
  readonly stop: () => Promise<void>
}

/** What an agent reports of a database. */
export const reportedHealth = (status: HealthStatus = 'healthy'): TargetHealth => ({
  address: 'db:5432',
  protocol: 'TCP',
  status,
  transition_timestamp: new Date().toISOString(),
  transition_reason: 'initialized',
})

/** A real control plane on loopback in a directory of its own. */
export async function startTestAuth(overrides: Partial<AuthOptions> = {}): Promise<TestAuth> {
  const dataDir = await mkdtemp(join(tmpdir(), 'postern-auth-'))
  const options: AuthOptions = {
    dataDir,
    cluster: testCluster,
    listen: {host: '127.0.0.1', port: 0},
    publicAddresses: [{host: '127.0.0.1', port: 443}],
    httpsKeypairs: [],
    staticTokens: [],
    defaultSessionTtlMilliseconds: 12 * 3_600_000,
    // Hundreds of passwords are made and checked.
    passwordCost: 16,
    version: '0.1.0',
    environment: {},
    logger: silentLogger,
    clock: systemClock,
    ...overrides,
  }
  const auth = await startAuth(options).catch(async (error: unknown) => {
    await rm(dataDir, {recursive: true, force: true})
    throw error
  })
  const identity = await readIdentityFile(auth.adminIdentity)
  const clients: ApiClient[] = []
  const clientOf = (credentials?: Credentials): ApiClient => {
    const client = new ApiClient(
      {
        ...auth.address,
        serverName: authServerName(testCluster),
        authorities: identity.hostAuthorities,
        ...(credentials ? {credentials: () => credentials} : {}),
      },
      patience,
    )
    clients.push(client)
    return client
  }
  const admin = clientOf(identity.credentials)
  const logIn = async (name: string, password = testPassword, ttlSeconds?: number): Promise<TestUser> => {
    const keys = await generateKeys()
    const login = await clientOf().login({
      user: name,
      password,
      publicKey: keys.publicKey,
      ...(ttlSeconds === undefined ? {} : {ttlSeconds}),
    })
    const credentials = {certificate: login.certificate, privateKey: keys.privateKey}
    return {login, credentials, client: clientOf(credentials)}
  }
  return {
    auth,
    options,
    admin,
    clientOf,
    logIn,
    addUser: async (name, roles, traits = {}) => {
      const invite = await admin.addUser({name, roles, traits})
      await clientOf().acceptInvite({token: invite.url.split('/').at(-1) ?? '', password: testPassword})
      return logIn(name)
    },
    joinHost: async (role, databases) => {
      const {token} = await admin.addToken({roles: [role], ...(databases ? {databases} : {})})
      const keys = await generateKeys()
      const joined = await clientOf().join({
        token,
        systemRole: role,
        hostname: 'a-host',
        version: '0.1.0',
        publicKey: keys.publicKey,
      })
      const credentials = {certificate: joined.certificate, privateKey: keys.privateKey}
      return {joined, credentials, client: clientOf(credentials)}
    },
    stop: async () => {
      for (const client of clients) await client.close()
      await auth.close()
      await rm(dataDir, {recursive: true, force: true})
    },
  }
}
