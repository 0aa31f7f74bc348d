import {describe, expect, it} from '@jest/globals'
import {Secret} from '../../../src/lib/core/secret.js'
import {
  deriveSigningKey,
  isSignedWith,
  readClaim,
  sha256Hex,
  signatureOf,
  type SignatureClaim,
  type SignedRequest,
} from '../../../src/lib/sandbox/sigv4.js'

// AWS's published examples: "Examples of how to derive a signing key", the aws-sig-v4-test-suite, and the Amazon S3 API
// Reference ("Authenticating Requests").
const exampleSecret = new Secret('wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY')
const s3Secret = new Secret('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY')

interface Example {
  readonly method?: string
  readonly path?: string
  readonly query?: string
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string
  readonly payloadHash?: string
}

function request({method = 'GET', path = '/', query = '', headers, body = '', payloadHash}: Example): SignedRequest {
  const pairs = Object.entries(headers).map(([name, value]) => {
    return [name, typeof value === 'string' ? [value] : value] as const
  })
  return {method, path, query, headers: new Map(pairs), payloadHash: payloadHash ?? sha256Hex(body)}
}

function claimOf(signed: SignedRequest): SignatureClaim {
  const claim = readClaim(signed)
  if (typeof claim === 'string') throw new Error(claim)
  return claim
}

const authorization = (scope: string, signedHeaders: string, signature: string): string =>
  `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/${scope}, SignedHeaders=${signedHeaders}, Signature=${signature}`

const suite = {host: 'example.amazonaws.com', 'x-amz-date': '20150830T123600Z'}
const suiteScope = '20150830/us-east-1/service/aws4_request'

it('the signing key is the one of the documentation', () => {
  const scope = {date: '20150830', region: 'us-east-1', service: 'iam'}
  expect(deriveSigningKey(exampleSecret, scope).toString('hex')).toBe(
    'c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9',
  )
})

describe('signatures in the header', () => {
  it.each<[string, Example, string, string]>([
    [
      'get-vanilla',
      {headers: suite},
      'host;x-amz-date',
      '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
    ],
    [
      'get-vanilla-query-order-key-case',
      {headers: suite, query: 'Param2=value2&Param1=value1'},
      'host;x-amz-date',
      'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
    ],
    [
      'get-header-value-trim',
      {headers: {...suite, 'my-header1': ' value1', 'my-header2': ' "a   b   c"'}},
      'host;my-header1;my-header2;x-amz-date',
      'acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736',
    ],
    [
      'get-header-key-duplicate',
      {headers: {...suite, 'my-header1': ['value2', 'value2', 'value1']}},
      'host;my-header1;x-amz-date',
      'c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea',
    ],
    [
      'post-vanilla',
      {method: 'POST', headers: suite},
      'host;x-amz-date',
      '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b',
    ],
    [
      'post-x-www-form-urlencoded',
      {method: 'POST', headers: {...suite, 'content-type': 'application/x-www-form-urlencoded'}, body: 'Param1=value1'},
      'content-type;host;x-amz-date',
      'ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a',
    ],
  ])('%s of the test suite', (_, example, signedHeaders, signature) => {
    const headers = {...example.headers, authorization: authorization(suiteScope, signedHeaders, signature)}
    const signed = request({...example, headers})
    expect(signatureOf(signed, claimOf(signed), exampleSecret)).toBe(signature)
    expect(isSignedWith(signed, claimOf(signed), exampleSecret)).toBe(true)
    expect(isSignedWith(signed, claimOf(signed), s3Secret)).toBe(false)
  })

  it('the walk-through of ListUsers', () => {
    const signature = '5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7'
    const signed = request({
      query: 'Action=ListUsers&Version=2010-05-08',
      headers: {
        'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
        host: 'iam.amazonaws.com',
        'x-amz-date': '20150830T123600Z',
        authorization: authorization('20150830/us-east-1/iam/aws4_request', 'content-type;host;x-amz-date', signature),
      },
    })
    expect(isSignedWith(signed, claimOf(signed), exampleSecret)).toBe(true)
  })

  it('a GET of S3 with a range', () => {
    const emptyBody = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    const signature = 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41'
    const names = 'host;range;x-amz-content-sha256;x-amz-date'
    const signed = request({
      path: '/test.txt',
      headers: {
        host: 'examplebucket.s3.amazonaws.com',
        range: 'bytes=0-9',
        'x-amz-content-sha256': emptyBody,
        'x-amz-date': '20130524T000000Z',
        authorization: authorization('20130524/us-east-1/s3/aws4_request', names, signature),
      },
    })
    expect(isSignedWith(signed, claimOf(signed), s3Secret)).toBe(true)
  })
})

describe('signatures in the query', () => {
  const query =
    'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request' +
    '&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host' +
    '&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404'
  const signed = request({
    path: '/test.txt',
    query,
    headers: {host: 'examplebucket.s3.amazonaws.com'},
    payloadHash: 'UNSIGNED-PAYLOAD',
  })

  it('the presigned GET of S3', () => {
    expect(claimOf(signed)).toMatchObject({
      accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
      service: 's3',
      region: 'us-east-1',
      expiresIn: 86_400,
      sessionToken: undefined,
    })
    expect(isSignedWith(signed, claimOf(signed), s3Secret)).toBe(true)
  })

  it.each([
    ['another path', {...signed, path: '/test.tx'}],
    ['another method', {...signed, method: 'PUT'}],
    ['a longer life', {...signed, query: query.replace('86400', '86401')}],
    ['another host', {...signed, headers: new Map([['host', ['otherbucket.s3.amazonaws.com']]])}],
    ['one more parameter', {...signed, query: `${query}&versionId=1`}],
    ['another payload', {...signed, payloadHash: sha256Hex('')}],
  ])('do not fit %s', (_, changed) => {
    expect(isSignedWith(changed, claimOf(changed), s3Secret)).toBe(false)
  })
})

describe('a claim', () => {
  const good = authorization(suiteScope, 'host;x-amz-date', 'a'.repeat(64))

  it('is none without a signature', () => {
    expect(readClaim(request({headers: suite}))).toBe('none')
  })

  it.each([
    ['another algorithm', good.replace('HMAC-SHA256', 'ECDSA-P256-SHA256')],
    ['a scope without its end', good.replace('/aws4_request', '')],
    ['a scope with more behind its end', good.replace('/aws4_request', '/aws4_request/x')],
    ['a signature that is no SHA-256', good.replace('aaaa', 'zzzz')],
    ['no signature', good.replace(/, Signature.*/, '')],
    ['a host that is not signed', good.replace('host;', '')],
    ['a date that is not the timestamp’s', good.replace('20150830', '20150831')],
  ])('is malformed with %s', (_, header) => {
    expect(readClaim(request({headers: {...suite, authorization: header}}))).toBe('malformed')
  })

  it('is malformed without a timestamp', () => {
    expect(readClaim(request({headers: {host: suite.host, authorization: good}}))).toBe('malformed')
  })
})
