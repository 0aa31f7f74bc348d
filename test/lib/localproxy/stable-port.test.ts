import {expect, it} from '@jest/globals'
import {stablePort} from '../../../src/lib/localproxy/stable-port.js'

it('a database has the same port each time, below the ephemeral range, and its own per user and cluster', () => {
  const owner = {uid: 1000, cluster: 'a.example.com', database: 'shop'}
  expect(stablePort(owner)).toBe(stablePort({...owner, database: 'SHOP'}))
  const others = [
    {...owner, uid: 1001},
    {...owner, cluster: 'b.example.com'},
    {...owner, database: 'shop2'},
  ]
  for (const other of others) expect(stablePort(other)).not.toBe(stablePort(owner))
  for (let uid = 0; uid < 500; uid += 1) {
    expect(stablePort({...owner, uid})).toBeGreaterThanOrEqual(20_000)
    expect(stablePort({...owner, uid})).toBeLessThan(30_000)
  }
})
