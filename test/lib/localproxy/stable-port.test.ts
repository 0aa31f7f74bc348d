import {expect, it} from '@jest/globals'
import {findOwner} from '../../../src/lib/localproxy/peer-uid.js'
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

it("finds a connection's owner in the kernel's table by both ports", () => {
  const header = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
  const row = (local: string, remote: string, uid: number): string =>
    `   1: 0100007F:${local} 0100007F:${remote} 01 00000000:00000000 00:00000000 00000000  ${uid}        0 1 1 0 20 4 30 10 -1`
  const table = [header, row('1538', 'C350', 0), row('C350', '1538', 1000), row('C351', '1538', 1001)].join('\n')
  expect(findOwner(table, 0xc350, 0x1538)).toBe(1000)
  expect(findOwner(table, 0xc351, 0x1538)).toBe(1001)
  expect(findOwner(table, 0xc352, 0x1538)).toBeUndefined()
})
