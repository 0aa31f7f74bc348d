import {X509Certificate} from 'node:crypto'
import {afterAll, beforeAll, expect, it} from '@jest/globals'
import type {LoginResponse} from '../../../src/lib/api/responses.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'
import {startTestAuth, type TestAuth} from '../../helpers/auth.js'

const hour = 3_600_000
let plane: TestAuth
/** What the control plane's clock says beyond the truth, in milliseconds. */
let ahead = 0
/** By so much more with each look at it. */
let creep = 0

beforeAll(async () => {
  plane = await startTestAuth({clock: {...systemClock, now: () => systemClock.now() + (ahead += creep)}})
  await plane.addUser('ci', ['access', 'auditor'])
})

afterAll(() => plane.stop())

interface Identity {
  readonly signed: LoginResponse
  /** The same with a new key. */
  renew(): Promise<Identity>
}

function identityOf(
  signed: LoginResponse,
  privateKey: Awaited<ReturnType<typeof generateKeys>>['privateKey'],
): Identity {
  const client = plane.clientOf({certificate: signed.certificate, privateKey})
  return {
    signed,
    renew: async () => {
      const keys = await generateKeys()
      return identityOf(await client.renewUserCertificate({publicKey: keys.publicKey}), keys.privateKey)
    },
  }
}

async function sign(renewableSeconds?: number): Promise<Identity> {
  const {publicKey, privateKey} = await generateKeys()
  const signed = await plane.admin.userCertificate({publicKey, user: 'ci', ttlSeconds: 3600, renewableSeconds})
  return identityOf(signed, privateKey)
}

const left = ({signed}: Identity): number => Date.parse(signed.expires) - systemClock.now() - ahead

it('gives a new key and the time it had at first, again and again until its end', async () => {
  ahead = 0
  const first = await sign(2.5 * 3600)
  expect(left(first)).toBeGreaterThan(0.98 * hour)
  ahead = 0.9 * hour
  const second = await first.renew()
  expect(left(second)).toBeGreaterThan(0.98 * hour)
  expect(second.signed.renewableUntil).toBe(first.signed.renewableUntil)
  const keys = [first, second].map(
    ({signed}) => new X509Certificate(signed.certificate).publicKey.export({format: 'jwk'}).x,
  )
  expect(keys[0]).not.toBe(keys[1])
  ahead = 1.7 * hour
  // Time passes between one look at the clock and the next.
  creep = 1500
  const third = await second.renew()
  creep = 0
  expect(left(third)).toBeLessThan(0.82 * hour)
  expect(Date.parse(third.signed.expires)).toBeLessThanOrEqual(Date.parse(first.signed.renewableUntil ?? ''))
  const {events} = await plane.admin.events({event: 'cert.create', limit: 1})
  expect(events[0]).toMatchObject({user: 'ci', identity: {user: 'ci', usage: ['login']}})
  ahead = 2.6 * hour
  await expect(third.renew()).rejects.toMatchObject({code: 'EXPIRED'})
})

it('is for identities that an administrator made so: no other, and no login', async () => {
  ahead = 0
  const refusal = {code: 'ACCESS_DENIED', message: 'This identity cannot be renewed.'}
  await expect((await sign()).renew()).rejects.toMatchObject(refusal)
  const {publicKey} = await generateKeys()
  await expect(sign(3600)).rejects.toMatchObject({code: 'INVALID'})
  const {client} = await plane.logIn('ci')
  await expect(client.renewUserCertificate({publicKey})).rejects.toMatchObject(refusal)
})

it('is for who still may: not after its own end, not locked, not with roles that were taken away, not revoked', async () => {
  ahead = 0
  const identity = await sign(10 * 3600)
  ahead = 1.1 * hour
  await expect(identity.renew()).rejects.toMatchObject({code: 'EXPIRED'})

  ahead = 0
  const [user] = (await plane.admin.getResource('user', 'ci')).items
  if (!user) throw new Error('there is no user')
  await plane.admin.putResource({...user, spec: {...user.spec, roles: ['access']}})
  expect((await (await identity.renew()).renew()).signed.roles).toEqual(['access'])
  const [changed] = (await plane.admin.getResource('user', 'ci')).items
  if (!changed) throw new Error('there is no user')
  await plane.admin.putResource({...changed, spec: {...changed.spec, roles: ['access', 'auditor', 'editor']}})
  // What the user got since is not what the administrator signed.
  expect((await identity.renew()).signed.roles).toEqual(['access', 'auditor'])

  await plane.admin.createResource({
    kind: 'lock',
    version: 'v2',
    metadata: {name: 'l'},
    spec: {target: {user: 'ci'}},
  })
  await expect(identity.renew()).rejects.toMatchObject({code: 'ACCESS_DENIED'})
  await plane.admin.deleteResource('lock', 'l')
  await identity.renew()
  await plane.admin.deleteResource('user', 'ci')
  await expect(identity.renew()).rejects.toMatchObject({
    code: expect.stringMatching(/ACCESS_DENIED|NOT_LOGGED_IN|EXPIRED/),
  })
})
