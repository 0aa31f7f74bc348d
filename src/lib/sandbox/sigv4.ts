/**
 * AWS Signature Version 4, from the verifier's side (AWS General Reference, "Signature Version 4 signing process"):
 *
 *   request ─► canonical request ─► string to sign ─► HMAC with a key derived from secret, date, region, service
 *
 * The signature comes in the Authorization header or, presigned, in the query. Written from the specification; no signer
 * of AWS is used, so that a fault in one is not repeated by the other.
 */
import {createHash, createHmac, timingSafeEqual} from 'node:crypto'
import type {Secret} from '../core/secret.js'

const algorithm = 'AWS4-HMAC-SHA256'
const terminator = 'aws4_request'

/** What a signature covers. */
export interface SignedRequest {
  readonly method: string
  /** As it came, percent-encoded. */
  readonly path: string
  /** As it came, without `?`. */
  readonly query: string
  /** By lower-case name; several values in their order. */
  readonly headers: ReadonlyMap<string, readonly string[]>
  /** SHA-256 of the body as hexadecimal, or what S3 takes in its place. */
  readonly payloadHash: string
}

/** What a request says about its signature; nothing of it is verified. */
export interface SignatureClaim {
  readonly accessKeyId: string
  /** The scope's date: `20150830`. */
  readonly date: string
  readonly region: string
  readonly service: string
  /** `20150830T123600Z` */
  readonly timestamp: string
  readonly signedHeaders: readonly string[]
  readonly signature: string
  readonly sessionToken: string | undefined
  /** Seconds that a presigned request is good for; absent when the signature is in the header. */
  readonly expiresIn?: number
}

export const sha256Hex = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex')

const hmac = (key: string | Buffer, data: string): Buffer => createHmac('sha256', key).update(data).digest()

/** The key that signs for one day, region and service. */
export function deriveSigningKey(
  secret: Secret,
  {date, region, service}: Pick<SignatureClaim, 'date' | 'region' | 'service'>,
): Buffer {
  return [date, region, service, terminator].reduce<Buffer | string>(hmac, `AWS4${secret.reveal()}`) as Buffer
}

/** The claim in the Authorization header or in the query: `none` without either, `malformed` when it is incomplete. */
export function readClaim(request: Pick<SignedRequest, 'headers' | 'query'>): SignatureClaim | 'none' | 'malformed' {
  const header = request.headers.get('authorization')?.[0]
  if (header !== undefined) return readHeader(header, request.headers)
  const query = parseQuery(request.query)
  return query.some(([name]) => name === 'X-Amz-Signature') ? readPresigned(new Map(query)) : 'none'
}

function readHeader(header: string, headers: SignedRequest['headers']): SignatureClaim | 'malformed' {
  if (!header.startsWith(`${algorithm} `)) return 'malformed'
  const fields = new Map(
    header
      .slice(algorithm.length)
      .split(',')
      .map((field) => splitOnce(field.trim(), '=')),
  )
  return complete({
    credential: fields.get('Credential'),
    signedHeaders: fields.get('SignedHeaders'),
    signature: fields.get('Signature'),
    timestamp: headers.get('x-amz-date')?.[0],
    sessionToken: headers.get('x-amz-security-token')?.[0],
  })
}

function readPresigned(query: ReadonlyMap<string, string>): SignatureClaim | 'malformed' {
  const claim = complete({
    credential: query.get('X-Amz-Credential'),
    signedHeaders: query.get('X-Amz-SignedHeaders'),
    signature: query.get('X-Amz-Signature'),
    timestamp: query.get('X-Amz-Date'),
    sessionToken: query.get('X-Amz-Security-Token'),
  })
  const expires = query.get('X-Amz-Expires') ?? ''
  const isComplete = query.get('X-Amz-Algorithm') === algorithm && /^\d{1,6}$/.test(expires)
  return claim === 'malformed' || !isComplete ? 'malformed' : {...claim, expiresIn: Number(expires)}
}

interface ClaimFields {
  readonly credential: string | undefined
  readonly signedHeaders: string | undefined
  readonly signature: string | undefined
  readonly timestamp: string | undefined
  readonly sessionToken: string | undefined
}

function complete({
  credential = '',
  signedHeaders = '',
  signature = '',
  timestamp = '',
  sessionToken,
}: ClaimFields): SignatureClaim | 'malformed' {
  const [accessKeyId = '', date = '', region = '', service = '', end, ...more] = credential.split('/')
  const names = signedHeaders.split(';')
  const isScope = accessKeyId !== '' && region !== '' && service !== '' && end === terminator && more.length === 0
  // A signature that does not cover the host could be replayed elsewhere.
  const isCovered = names.includes('host') && /^[0-9a-f]{64}$/.test(signature)
  if (!isScope || !isCovered || parseTimestamp(timestamp) === undefined || !timestamp.startsWith(date))
    return 'malformed'
  return {accessKeyId, date, region, service, timestamp, signedHeaders: names, signature, sessionToken}
}

/** Milliseconds since 1970 of `20150830T123600Z`. */
export function parseTimestamp(timestamp: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(timestamp)
  if (!match) return undefined
  const [, year = '', month = '', day = '', hour = '', minute = '', second = ''] = match
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(time) ? undefined : time
}

/** Whether the request was signed as claimed with this secret. Times are the caller's to check. */
export function isSignedWith(request: SignedRequest, claim: SignatureClaim, secret: Secret): boolean {
  const expected = signatureOf(request, claim, secret)
  return timingSafeEqual(Buffer.from(expected), Buffer.from(claim.signature))
}

/** The signature as hexadecimal. */
export function signatureOf(request: SignedRequest, claim: Omit<SignatureClaim, 'signature'>, secret: Secret): string {
  const {date, region, service, timestamp} = claim
  const scope = [date, region, service, terminator].join('/')
  const stringToSign = [algorithm, timestamp, scope, sha256Hex(canonicalRequest(request, claim.signedHeaders))].join(
    '\n',
  )
  return hmac(deriveSigningKey(secret, claim), stringToSign).toString('hex')
}

/** The request in the one form that both sides hash. */
export function canonicalRequest(request: SignedRequest, signedHeaders: readonly string[]): string {
  const headers = signedHeaders.map((name) => `${name}:${canonicalHeader(request.headers.get(name) ?? [])}`)
  return [
    request.method,
    request.path.split('/').map(percentEncode).join('/'),
    canonicalQuery(request.query),
    ...headers,
    '',
    signedHeaders.join(';'),
    request.payloadHash,
  ].join('\n')
}

const canonicalHeader = (values: readonly string[]): string =>
  values.map((value) => value.trim().replace(/ +/g, ' ')).join(',')

function canonicalQuery(query: string): string {
  return parseQuery(query)
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]): [string, string] => [percentEncode(name), percentEncode(value)])
    .sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

/** By code point; everything is ASCII here. */
const compare = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0)

/** Names and values of a query, decoded; `+` stays a plus, as the specification has it. */
export function parseQuery(query: string): [string, string][] {
  if (query === '') return []
  return query.split('&').map((pair) => {
    const [name, value] = splitOnce(pair, '=')
    return [percentDecode(name), percentDecode(value)]
  })
}

function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** RFC 3986's unreserved characters stay; all others are encoded in upper-case hexadecimal. */
export function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)]
}
