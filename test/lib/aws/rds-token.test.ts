import {expect, it} from '@jest/globals'
import {signRdsToken} from '../../../src/lib/aws/rds-token.js'
import type {AwsSession} from '../../../src/lib/aws/session.js'
import {Secret} from '../../../src/lib/core/secret.js'

const session: AwsSession = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: new Secret('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'),
}
const region = 'us-west-1'

it.each(['orders.example.com', '10.0.0.5', 'localhost', 'orders.abc.us-west-1.rds.amazonaws.com.example.com'])(
  'E03: a token for %s is refused with the reason and what to do',
  async (host) => {
    await expect(signRdsToken({endpoint: {host, port: 5432}, region, user: 'alice', session})).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining(`"${host}" cannot work`) as unknown as string,
    })
  },
)

it('a token names the registered endpoint and port', async () => {
  const endpoint = {host: 'orders.abc.us-west-1.rds.amazonaws.com', port: 5433}
  const token = await signRdsToken({endpoint, region, user: 'alice', session})
  expect(token.reveal()).toMatch(/^orders\.abc\.us-west-1\.rds\.amazonaws\.com:5433\/\?/)
  expect(new URL(`https://${token.reveal()}`).searchParams.get('DBUser')).toBe('alice')
})
