import {expect, it} from '@jest/globals'
import {awsFailure} from '../../../src/lib/aws/failure.js'

const refusal = (name: string, httpStatusCode = 400): Error =>
  Object.assign(new Error('User: x is not authorized\n'), {name, $metadata: {httpStatusCode}})

it.each([
  ['AccessDenied', 'ACCESS_DENIED'],
  ['ClusterNotFoundFault', 'NOT_FOUND'],
  ['InternalFailure', 'FAILED'],
])('%s of AWS is our %s, in a sentence with its own words', (name, code) => {
  expect(awsFailure(refusal(name), 'The password cannot be had', 'Ask.')).toMatchObject({
    code,
    message: `The password cannot be had: ${name}: User: x is not authorized.`,
    hints: ['Ask.'],
  })
})

it('an answer that never came is no refusal', () => {
  const error = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), {code: 'ECONNREFUSED'})
  expect(awsFailure(error, 'AWS cannot be asked')).toMatchObject({
    code: 'UNREACHABLE',
    message: 'AWS cannot be asked: connect ECONNREFUSED 127.0.0.1:1.',
  })
})

it('a refused signature does not quote the request', () => {
  const quoting = (what: string): Error =>
    Object.assign(new Error(`The signature does not match. ${what} for this request should have been 'GET secret'`), {
      name: 'SignatureDoesNotMatch',
    })
  for (const what of ['The Canonical String', 'The String-to-Sign', 'the canonical string']) {
    expect(awsFailure(quoting(what), 'It failed').message).toBe('It failed: The signature does not match.')
  }
})

it('an endless text of AWS is cut', () => {
  expect(awsFailure(new Error('x'.repeat(9000)), 'It failed').message).toBe(`It failed: ${'x'.repeat(500)}.`)
})
