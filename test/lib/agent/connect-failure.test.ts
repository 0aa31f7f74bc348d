import {expect, it} from '@jest/globals'
import {connectFailure, ownCaHint, readOwnRefusal} from '../../../src/lib/agent/connect-failure.js'
import type {ServerError} from '../../../src/lib/pgwire/server-error.js'
import {expectDocumented} from '../../helpers/troubleshooting.js'

const alert = Object.assign(new Error('handshake failure'), {code: 'ERR_SSL_TLSV1_ALERT_HANDSHAKE_FAILURE'})

const situation = {
  target: {host: 'orders.abcdefghijklm.us-west-1.rds.amazonaws.com', port: 5432},
  hostname: 'agent-1',
  securityGroups: ['sg-0a1b2c3d4e5f60713'],
  trustHint: 'What to do on AWS.',
}

it('a TLS alert is about the certificate of the agent only where one is shown', () => {
  expect(connectFailure(alert, {...situation, trustHint: ownCaHint})).toMatchObject({code: 'ACCESS_DENIED'})
  const failure = connectFailure(alert, situation)
  expect(failure).toMatchObject({code: 'UNREACHABLE', hints: ['What to do on AWS.']})
  expect(failure.message).not.toContain('certificate')
})

it('no answer is told with the security groups of the database, and how to test it', async () => {
  const error = Object.assign(new Error('connect ETIMEDOUT'), {code: 'ETIMEDOUT'})
  const {message, detail = '', hints} = connectFailure(error, situation)
  expect(hints.join(' ')).toContain('sg-0a1b2c3d4e5f60713')
  await expectDocumented('timed-out', `FATAL:  ${message}\nDETAIL:  ${detail}\nHINT:  ${hints.join(' ')}`)
})

it('what the words of a self-hosted database mean', () => {
  const refusal = (message: string): ServerError => ({severity: 'FATAL', code: '28000', message})
  const problemOf = (message: string): string | undefined => readOwnRefusal(refusal(message), 'alice')?.problem
  expect(problemOf('role "alice" does not exist')).toBe('no-such-user')
  expect(problemOf('role "alice" is not permitted to log in')).toBe('no-login')
  expect(problemOf('no pg_hba.conf entry for host "10.0.0.1", user "alice", database "orders", SSL encryption')).toBe(
    'no-hba-entry',
  )
  expect(readOwnRefusal({...refusal('too many connections'), code: '53300'}, 'alice')).toBeUndefined()
})
