import {beforeEach, describe, expect, it} from '@jest/globals'
import {passwordForm, passwordSetPage} from '../../../src/lib/auth/invite-page.js'
import {LoginLimits} from '../../../src/lib/auth/login-limits.js'
import {checkNewPassword, Passwords} from '../../../src/lib/auth/passwords.js'
import {RateLimit} from '../../../src/lib/auth/rate-limit.js'

let monotonic = 0
const clock = {now: () => 0, monotonic: () => monotonic}
const minute = 60_000

beforeEach(() => {
  monotonic = 0
})

describe('limits of logins', () => {
  const tooMany = expect.objectContaining({code: 'TOO_MANY_REQUESTS'})

  it('lock a name after five attempts, from wherever they come, for twenty minutes', () => {
    const limits = new LoginLimits(clock)
    for (let attempt = 0; attempt < 5; attempt++) limits.begin('alice', `192.0.2.${attempt}`)
    expect(limits.isLocked('alice')).toBe(true)
    expect(() => {
      limits.begin('alice', '192.0.2.9')
    }).toThrow(tooMany)
    limits.begin('bob', '192.0.2.9')
    monotonic += 20 * minute
    limits.begin('alice', '192.0.2.9')
  })

  it('count attempts that are still being checked: of many at the same time five get through', () => {
    const limits = new LoginLimits(clock)
    const through = Array.from({length: 50}, () => {
      try {
        limits.begin('alice', undefined)
        return 1
      } catch {
        return 0
      }
    })
    expect(through.filter(Boolean)).toHaveLength(5)
  })

  it('forget the bad attempts of a name when its password was right', () => {
    const limits = new LoginLimits(clock)
    for (let round = 0; round < 20; round++) {
      for (let attempt = 0; attempt < 4; attempt++) limits.begin('alice', '192.0.2.1')
      limits.begin('alice', undefined)
      limits.clear('alice', undefined)
      monotonic += 20 * minute
    }
  })

  it('lock an address that tries many names, and none where a proxy hides the addresses', () => {
    const limits = new LoginLimits(clock)
    for (let name = 0; name < 25; name++) limits.begin(`user${name}`, '192.0.2.1')
    expect(() => {
      limits.begin('another', '192.0.2.1')
    }).toThrow(tooMany)
    for (let name = 0; name < 100; name++) limits.begin(`hidden${name}`, undefined)
  })
})

describe('a password', () => {
  const passwords = new Passwords()

  it('is right or wrong whatever the form in which its characters were typed', async () => {
    const record = await passwords.hash('pa\u0301ssword of alice')
    expect(record).toMatchObject({algorithm: 'scrypt', cost: 32_768, blockSize: 8, parallelization: 3})
    expect(await passwords.verify('p\u00e1ssword of alice', record)).toBe(true)
    expect(await passwords.verify('password of alice', record)).toBe(false)
    expect(await passwords.verify('', record)).toBe(false)
  })

  it('is checked with the parameters it was made with', async () => {
    const {cost, ...rest} = await passwords.hash('correct horse battery')
    expect(await passwords.verify('correct horse battery', {...rest, cost: cost / 2})).toBe(false)
  })

  it('of nobody is never right', async () => {
    expect(await passwords.verify('', undefined)).toBe(false)
  })

  it('has at least twelve characters', () => {
    checkNewPassword('twelve chars')
    expect(() => {
      checkNewPassword('eleven char')
    }).toThrow(expect.objectContaining({code: 'INVALID'}))
  })

  it('waits for its turn, and is refused where too many wait', async () => {
    const cheap = {...(await passwords.hash('correct horse battery')), cost: 16}
    const settled = await Promise.allSettled(Array.from({length: 70}, () => passwords.verify('guess', cheap)))
    const refused = settled.filter(({status}) => status === 'rejected')
    expect(refused).toHaveLength(4)
    expect(refused[0]).toMatchObject({reason: {code: 'TOO_MANY_REQUESTS'}})
  })
})

it('a rate leaves room for a burst, and then for one at a time', () => {
  const limit = new RateLimit({perSecond: 2, burst: 3}, clock)
  const take = (): boolean => {
    const room = limit.hasRoom()
    limit.take()
    return room
  }
  expect([take(), take(), take(), take()]).toEqual([true, true, true, false])
  monotonic += 500
  expect([take(), take()]).toEqual([true, false])
  monotonic += 60_000
  expect([take(), take(), take(), take()]).toEqual([true, true, true, false])
})

describe('the page for a password', () => {
  const user = `<script>alert("1")</script>&'`

  it('shows names as text, and lets no script run', () => {
    const form = {user, cluster: '<b>', purpose: 'invite', problem: '<i>'} as const
    for (const {body, headers} of [passwordForm(form), passwordSetPage(user, '<u>')]) {
      expect(body).not.toMatch(/<(script|b|i|u)>/)
      expect(body).toContain('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;')
      expect(headers['content-security-policy']).toContain("default-src 'none'")
      expect(headers['content-security-policy']).not.toContain('unsafe')
      expect(headers).toMatchObject({'cache-control': 'no-store', 'referrer-policy': 'no-referrer'})
    }
  })
})
