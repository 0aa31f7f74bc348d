import {Secret} from '../../../src/lib/core/secret.js'
import {percentEncode, sha256Hex, signatureOf} from '../../../src/lib/sandbox/sigv4.js'
import {region, type Credentials} from './rig.js'

export interface PresignRequest {
  /** Without the signature's own parameters. */
  readonly query: string
  readonly host: string
  readonly service: string
  readonly credentials: Credentials
  /** Seconds. */
  readonly expiresIn: number
  /** Default: now. */
  readonly time?: number
}

/** The query of a presigned GET of `/`, for what no SDK would sign. */
export function presign({query, host, service, credentials, expiresIn, time = Date.now()}: PresignRequest): string {
  const timestamp = new Date(time).toISOString().replace(/[-:]|\.\d{3}/g, '')
  const date = timestamp.slice(0, 8)
  const scope = `${credentials.accessKeyId}/${date}/${region}/${service}/aws4_request`
  const signed =
    `${query}&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${percentEncode(scope)}` +
    `&X-Amz-Date=${timestamp}&X-Amz-Expires=${expiresIn}&X-Amz-SignedHeaders=host`
  const request = {
    method: 'GET',
    path: '/',
    query: signed,
    headers: new Map([['host', [host]]]),
    payloadHash: sha256Hex(''),
  }
  const claim = {
    accessKeyId: credentials.accessKeyId,
    date,
    region,
    service,
    timestamp,
    signedHeaders: ['host'],
    sessionToken: undefined,
  }
  return `${signed}&X-Amz-Signature=${signatureOf(request, claim, new Secret(credentials.secretAccessKey))}`
}
