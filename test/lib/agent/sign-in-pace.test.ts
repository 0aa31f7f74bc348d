import {describe, expect, it} from '@jest/globals'
import type {Allowed} from '../../../src/lib/access/decision.js'
import type {AwsDatabases} from '../../../src/lib/agent/aws-databases.js'
import {DatabaseOpening} from '../../../src/lib/agent/database-opening.js'
import {Diagnoses} from '../../../src/lib/agent/diagnoses.js'
import type {Guest} from '../../../src/lib/agent/admission.js'
import {mayTryAgain, takeTurn, type AwsSignIn} from '../../../src/lib/agent/sign-in-method.js'
import type {ClientCertificates} from '../../../src/lib/agent/client-certificates.js'
import {toAwsDatabase} from '../../../src/lib/aws/aws-database.js'
import {Aws} from '../../../src/lib/aws/aws.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {databaseResource} from './rig.js'

const endpoint = 'postgres-1.abcdefghijklm.us-west-1.rds.amazonaws.com:5432'
const resource = databaseResource('db', endpoint)
const guest = {route: {dbUser: 'alice'}, dbName: 'postgres'} as Guest
const refusal = (code: string) => ({severity: 'FATAL', code, message: 'PAM authentication failed for user "alice"'})
const stays = (): boolean => false
/** All of a test is one moment. */
const standing = {...systemClock, monotonic: () => 0}

function signIn(): AwsSignIn {
  const database = toAwsDatabase(resource)
  if (!database) throw new Error('not on AWS')
  return {aws: new Aws({environment: {}, clock: standing}), database, guest, isGone: stays}
}

describe('a refused sign-in', () => {
  it('of one user does not slow the instance down for everybody', async () => {
    const alone = signIn()
    const turn = await takeTurn(alone)
    expect(mayTryAgain(alone, turn, refusal('28000'))).toBe(false)
  })

  it('is tried again when there were many, and always when there is no place', async () => {
    const many = signIn()
    const turns = await Promise.all(Array.from({length: 6}, () => takeTurn(many)))
    expect(mayTryAgain(many, turns[0] ?? NaN, refusal('28000'))).toBe(true)
    const alone = signIn()
    const turn = await takeTurn(alone)
    expect(mayTryAgain(alone, turn, refusal('53300'))).toBe(true)
    expect(mayTryAgain(many, turns[0] ?? NaN, refusal('28P01'))).toBe(false)
  })
})

it('the password is got after the wait for a turn, which may be longer than its life', async () => {
  const order: string[] = []
  const {database} = signIn()
  const noted = {
    pacer: {turn: () => Promise.resolve(order.push('turn'))},
    trustRoots: {get: () => Promise.resolve({certificates: [], isPublic: false})},
    passwords: {
      get: () => {
        order.push('password')
        return Promise.reject(new Error('that is all'))
      },
    },
  } as unknown as Aws
  const opening = new DatabaseOpening({
    hostname: 'db-host',
    diagnoses: new Diagnoses({aws: noted, clock: systemClock}),
    certificates: undefined as unknown as ClientCertificates,
    aws: noted,
    awsDatabases: {admit: () => Promise.resolve(database)} as unknown as AwsDatabases,
    rules: {allowLoopback: true, connectAddresses: new Map([[endpoint, {host: '127.0.0.1', port: 1}]])},
  })
  const served = {database: resource, origin: 'config-file'} as const
  const request = {
    decision: {} as Allowed,
    guest,
    served,
    parameters: new Map<string, string>(),
    minor: 0,
    departure: new AbortController().signal,
  }
  await expect(opening.open(request)).rejects.toThrow('that is all')
  expect(order).toEqual(['turn', 'password'])
})
