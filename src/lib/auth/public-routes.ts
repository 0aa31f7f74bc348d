import * as requests from '../api/requests.js'
import type {FindResponse} from '../api/responses.js'
import {formatDuration} from '../core/duration.js'
import {PosternError} from '../core/errors.js'
import {formatAddress, type Address} from '../resources/endpoint.js'
import type {Accounts} from './accounts.js'
import type {Authorities} from './authorities.js'
import type {Joining} from './joining.js'
import {Answer, publicRoute, type Call, type Method, type Route} from './route.js'
import type {UserCertificates} from './user-certificates.js'

export interface PublicRouteOptions {
  readonly cluster: string
  readonly version: string
  readonly publicAddress: Address
  readonly defaultSessionTtlMilliseconds: number
  readonly authorities: Authorities
  readonly accounts: Accounts
  readonly joining: Joining
  readonly userCertificates: UserCertificates
}

/** What anybody may call: first contact, login, invites and joining. */
export function createPublicRoutes(options: PublicRouteOptions): Route[] {
  const {accounts, authorities, joining, userCertificates, version} = options
  const found = describeCluster(options)
  return [
    ...twins('GET', '/webapi/find', () => found),
    ...twins('GET', '/webapi/ping', () => found),
    ...twins('GET', '/webapi/automaticupgrades/channel/*', ({parameters}) => upgradeChannel(parameters['*'], version)),
    publicRoute('GET', '/v1/webapi/host_ca', {}, () => ({authorities: authorities.trusted('host')})),
    publicRoute('POST', '/v1/webapi/login', {body: requests.loginRequest}, ({body, client, headers}) =>
      userCertificates.login(body, client, headers['user-agent']),
    ),
    publicRoute('POST', '/v1/webapi/invite/accept', {body: requests.acceptInviteRequest}, async ({body}) => {
      const {user} = await accounts.setPassword(body.token, body.password)
      return {user}
    }),
    publicRoute('POST', '/v1/webapi/join/challenge', {body: requests.joinChallengeRequest}, ({body}) =>
      joining.challenge(body.publicKey),
    ),
    publicRoute('POST', '/v1/webapi/join', {body: requests.joinRequest}, ({body, client}) =>
      joining.join(body, client),
    ),
  ]
}

/** Each web path is there twice, with and without the version in front. */
function twins(method: Method, path: string, handle: (call: Call) => unknown): Route[] {
  return [path, `/v1${path}`].map((each) => publicRoute(method, each, {}, handle))
}

function describeCluster({
  cluster,
  version,
  publicAddress,
  defaultSessionTtlMilliseconds,
}: PublicRouteOptions): FindResponse {
  const [major = '0'] = version.split('.')
  const address = formatAddress(publicAddress)
  return {
    auth: {type: 'local', default_session_ttl: formatDuration(defaultSessionTtlMilliseconds)},
    proxy: {ssh: {public_addr: address, web_listen_addr: address}, tls_routing_enabled: true},
    server_version: version,
    min_client_version: `${Math.max(0, Number(major) - 1)}.0.0`,
    cluster_name: cluster,
    automatic_upgrades: false,
    edition: 'oss',
    fips: false,
  }
}

const text = {'content-type': 'text/plain; charset=utf-8'}

/** `<channel>/version` and `<channel>/critical`; a channel's name may hold slashes. */
function upgradeChannel(path: string | undefined, version: string): Answer {
  const question = /^[\w./-]{1,128}\/(version|critical)$/.exec(path ?? '')?.[1]
  if (question === 'version') return new Answer(200, text, `v${version}`)
  if (question === 'critical') return new Answer(200, text, 'no')
  throw new PosternError('NOT_FOUND', 'There is no such upgrade channel.')
}
