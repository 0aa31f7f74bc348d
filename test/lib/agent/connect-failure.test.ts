import {expect, it} from '@jest/globals'
import {connectFailure, ownCaHint} from '../../../src/lib/agent/connect-failure.js'

const alert = Object.assign(new Error('handshake failure'), {code: 'ERR_SSL_TLSV1_ALERT_HANDSHAKE_FAILURE'})

it('a TLS alert is about the certificate of the agent only where one is shown', () => {
  expect(connectFailure(alert, 'db:5432', ownCaHint)).toMatchObject({code: 'ACCESS_DENIED'})
  const failure = connectFailure(alert, 'db:5432', 'What to do on AWS.')
  expect(failure).toMatchObject({code: 'UNREACHABLE', hints: ['What to do on AWS.']})
  expect(failure.message).not.toContain('certificate')
})
