/** Asks STS whose identity a host has proved (identity-proof.ts). Nothing of what the host sent decides where, or more than the signature. */
import type {Dispatcher} from 'undici'
import {messageOf, PosternError} from '../core/errors.js'
import {printable} from '../core/printable.js'
import {isAwsRegion} from '../resources/endpoint.js'
import {endpointOf, type AwsEnvironment} from './environment.js'
import {fixedHeaders, identityRequest, type Binding, type IdentityProof} from './identity-proof.js'

export interface CallerIdentity {
  /** 12 digits. */
  readonly account: string
  readonly arn: string
}

const timeouts = {connect: 5000, answer: 10_000} as const
/** An answer has some 500 bytes. */
const maximumAnswerBytes = 16_384
const success = 200

/**
 * The identity behind a proof, from AWS.
 * @throws PosternError ACCESS_DENIED when AWS or we refuse it, UNREACHABLE when STS does not answer
 */
export async function askCallerIdentity(
  proof: IdentityProof,
  binding: Binding,
  environment: AwsEnvironment,
): Promise<CallerIdentity> {
  const origin = endpointFor(proof.host, environment)
  checkSignature(proof, binding)
  const headers = {
    ...fixedHeaders(binding),
    host: proof.host,
    'x-amz-date': proof.date,
    authorization: proof.authorization,
    ...(proof.sessionToken !== undefined && {'x-amz-security-token': proof.sessionToken}),
  }
  const {status, text} = await post(origin, headers)
  if (status === success) return readIdentity(text)
  throw refusal(status, text)
}

/** The origin to ask: AWS's own by its name, or the one that the environment of the control plane names. */
function endpointFor(host: string, environment: AwsEnvironment): string {
  const configured = endpointOf(environment, 'STS')
  if (configured !== undefined && new URL(configured).host === host) return new URL(configured).origin
  if (isStsHost(host)) return `https://${host}`
  throw new PosternError('ACCESS_DENIED', `"${printable(host)}" is not an endpoint of AWS STS.`, {
    hint: 'For an endpoint of your own, set AWS_ENDPOINT_URL_STS for the control plane and for the agent.',
  })
}

/** `sts.amazonaws.com`, or of a region; `sts-fips` where a host must use that. */
function isStsHost(host: string): boolean {
  if (host === 'sts.amazonaws.com') return true
  const [, region = '', china] = /^sts(?:-fips)?\.([a-z0-9-]{1,32})\.amazonaws\.com(\.cn)?$/.exec(host) ?? []
  return isAwsRegion(region) && region.startsWith('cn-') === (china !== undefined)
}

/** A header that the signature does not cover proves nothing. */
function checkSignature({authorization, date, sessionToken}: IdentityProof, binding: Binding): void {
  const expected = [...Object.keys(fixedHeaders(binding)), 'host', 'x-amz-date']
  if (sessionToken !== undefined) expected.push('x-amz-security-token')
  const form =
    /^AWS4-HMAC-SHA256 Credential=\w{1,128}\/\d{8}\/[a-z0-9-]{1,32}\/sts\/aws4_request, SignedHeaders=([a-z0-9;-]{1,512}), Signature=[0-9a-f]{64}$/
  const signed = form.exec(authorization)?.[1]
  if (signed !== expected.sort().join(';') || !/^\d{8}T\d{6}Z$/.test(date)) {
    throw new PosternError('ACCESS_DENIED', 'The proof of an AWS identity is not signed as it must be.')
  }
}

interface Answer {
  readonly status: number
  readonly text: string
}

/** One attempt; no redirect is followed. */
async function post(origin: string, headers: Readonly<Record<string, string>>): Promise<Answer> {
  const {Client} = await import('undici')
  const client = new Client(origin, {
    connect: {timeout: timeouts.connect},
    headersTimeout: timeouts.answer,
    bodyTimeout: timeouts.answer,
    maxResponseSize: maximumAnswerBytes,
  })
  try {
    const {method, path, body} = identityRequest
    const answer: Dispatcher.ResponseData = await client.request({
      method,
      path,
      body,
      headers,
      signal: AbortSignal.timeout(timeouts.connect + timeouts.answer),
    })
    return {status: answer.statusCode, text: await answer.body.text()}
  } catch (error) {
    throw new PosternError('UNREACHABLE', `The control plane cannot ask AWS at ${origin}: ${messageOf(error)}.`, {
      cause: error,
      hint: 'Let the control plane reach that address, or have the agent use another with AWS_REGION.',
    })
  } finally {
    await client.destroy()
  }
}

/** Both appear once in the answer, and hold nothing that XML would escape. */
function readIdentity(text: string): CallerIdentity {
  const [account, ...accounts] = [...text.matchAll(/<Account>(\d{12})<\/Account>/g)]
  const [arn, ...arns] = [...text.matchAll(/<Arn>(arn:[a-z-]+:(?:sts|iam)::(\d{12}):[\w+=,.@/-]{1,2048})<\/Arn>/g)]
  if (account?.[1] !== undefined && arn?.[1] !== undefined && accounts.length + arns.length === 0) {
    if (account[1] === arn[2]) return {account: account[1], arn: arn[1]}
  }
  throw new PosternError('UNREACHABLE', 'AWS STS gave an answer that is none about an identity.')
}

function refusal(status: number, text: string): PosternError {
  const code = /<Code>([^<]{1,128})<\/Code>/.exec(text)?.[1] ?? `HTTP status ${status}`
  const message = /<Message>([^<]{1,512})<\/Message>/.exec(text)?.[1] ?? 'no reason'
  const said = printable(`${code}: ${message}`).replace(/\.$/, '')
  const isBusy = status >= 500 || status === 429 || code.startsWith('Throttling')
  return isBusy
    ? new PosternError('UNREACHABLE', `AWS STS does not answer now (${said}).`)
    : new PosternError('ACCESS_DENIED', `AWS does not confirm the identity of this host (${said}).`, {
        hint: 'Check the credentials and the clock of the host: `aws sts get-caller-identity` there must work.',
      })
}
