import {describe, expect, it} from '@jest/globals'
import {clusterNameOf} from '../../../src/lib/pki/cluster-name.js'
import {createAuthority} from '../../../src/lib/pki/issuing.js'
import {issue, newAuthority} from './issued.js'

describe('clusterNameOf', () => {
  it.each(['example.com', 'Teleport-1.internal', 'localhost'])('reads %s from its authority', async (cluster) => {
    const {certificate} = await createAuthority({cluster, type: 'host', now: Date.now()})
    expect(clusterNameOf(certificate)).toBe(cluster)
  })

  it('refuses a certificate that names no cluster', async () => {
    const {certificate} = await issue(await newAuthority())
    expect(() => clusterNameOf(certificate)).toThrow(expect.objectContaining({code: 'UNTRUSTED'}))
  })
})
