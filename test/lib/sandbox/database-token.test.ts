import {expect, it} from '@jest/globals'
import {Secret} from '../../../src/lib/core/secret.js'
import {findTokenFault} from '../../../src/lib/sandbox/database-token.js'
import {createWorld} from '../../../src/lib/sandbox/world.js'
import {presign, type PresignRequest} from './presign.js'
import {abroad, allow, home, MovableClock, region} from './rig.js'

const host = 'postgres-1.abcdefghijklm.us-west-1.rds.amazonaws.com'
const key = (letter: string) => ({id: `AKIA${letter.repeat(16)}`, secret: letter.repeat(40)})
const credentials = {accessKeyId: key('A').id, secretAccessKey: key('A').secret}
const foreign = {accessKeyId: key('B').id, secretAccessKey: key('B').secret}
const world = createWorld(
  {
    accounts: [
      {id: home, users: [{name: 'agent', accessKeys: [key('A')], inline: {all: allow('*')}}]},
      {id: abroad, users: [{name: 'agent', accessKeys: [key('B')], inline: {all: allow('*')}}]},
    ],
  },
  new MovableClock(),
)

const good: PresignRequest = {
  query: 'Action=connect&DBUser=alice',
  host: `${host}:5432`,
  service: 'rds-db',
  credentials,
  expiresIn: 900,
}

function faultOf(change: Partial<PresignRequest> = {}): string | undefined {
  const token = new Secret(`${host}:5432/?${presign({...good, ...change})}`)
  return findTokenFault(world, token, {host, port: 5432, user: 'alice', region, account: home, resourceId: 'db-ONE'})
}

it('a token that is signed as AWS wants it has no fault', () => {
  expect(faultOf()).toBeUndefined()
})

it.each<[string, Partial<PresignRequest>, string]>([
  ['another action', {query: 'Action=disconnect&DBUser=alice'}, 'the token is for another action'],
  ['another service', {service: 'rds'}, 'the password is no IAM token'],
  ['a life of more than 15 minutes', {expiresIn: 901}, 'the token is meant to live longer than 15 minutes'],
  ['a time to come', {time: Date.now() + 600_000}, 'the token is from the future'],
  ['a time that is over', {time: Date.now() - 901_000}, 'the token is expired'],
  ['another host under the signature', {host: 'localhost:5432'}, 'the signature does not match'],
  [
    'the credentials of another account',
    {credentials: foreign},
    `arn:aws:iam::${abroad}:user/agent may not rds-db:connect on arn:aws:rds-db:${region}:${home}:dbuser:db-ONE/alice (identity)`,
  ],
])('a token with %s has one', (_, change, fault) => {
  expect(faultOf(change)).toBe(fault)
})
