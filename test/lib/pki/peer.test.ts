import {X509Certificate} from 'node:crypto'
import {once} from 'node:events'
import type {AddressInfo} from 'node:net'
import tls from 'node:tls'
import {afterEach, describe, expect, it} from '@jest/globals'
import type {Authority} from '../../../src/lib/pki/issuing.js'
import {verifyPeer, verifySocket, type Peer} from '../../../src/lib/pki/peer.js'
import {certificateWith} from './forged.js'
import {hostIdentity, hour, issue, minute, newAuthority, parsed, userIdentity} from './issued.js'

const authority = await newAuthority('user')
// Of the same names, so that only the signature tells them apart.
const twin = await newAuthority('user')
const now = Date.now()

const verify = (certificate: X509Certificate, authorities: readonly Authority[] = [authority], at = Date.now()): Peer =>
  verifyPeer(certificate, {authorities: authorities.map((one) => one.certificate), purpose: 'client', now: at})

const refused = (code: string): unknown => expect.objectContaining({code})

describe('verifyPeer', () => {
  it('takes a leaf of the authority, and says who it speaks for', async () => {
    const certificate = parsed(await issue(authority))
    expect(verify(certificate)).toEqual({identity: userIdentity(), certificate})
  })

  it('takes a leaf of any of several authorities, as in a rotation', async () => {
    const certificate = parsed(await issue(twin))
    expect(verify(certificate, [authority, twin]).identity).toEqual(userIdentity())
  })

  it.each<[string, () => Promise<X509Certificate>]>([
    ['of another authority with the same names', async () => parsed(await issue(twin))],
    ['of an authority with other names', async () => parsed(await issue(await newAuthority('host')))],
    ['for the other purpose', async () => parsed(await issue(authority, {purposes: ['server']}))],
    ['that is the authority itself', () => Promise.resolve(parsed(authority))],
    ['that may itself sign', () => certificateWith(authority, [identityBytes('bob')], {ca: true})],
    ['that a leaf signed', async () => parsed(await issue(await issue(authority)))],
    ['that signed itself under the names of the authority', () => Promise.resolve(parsed(twin))],
    ['without an identity', () => certificateWith(authority, [])],
    ['with two identities', () => certificateWith(authority, [identityBytes('bob'), identityBytes('alice')])],
    ['with the same identity twice', () => certificateWith(authority, [identityBytes('bob'), identityBytes('bob')])],
  ])('refuses a certificate %s', async (_, make) => {
    const certificate = await make()
    expect(() => verify(certificate)).toThrow(refused('ACCESS_DENIED'))
  })

  it('takes the forger’s certificate when nothing is wrong with it', async () => {
    expect(verify(await certificateWith(authority, [identityBytes('bob')])).identity).toMatchObject({user: 'bob'})
  })

  it('refuses everything when it trusts nobody', async () => {
    const certificate = parsed(await issue(authority))
    expect(() => verify(certificate, [])).toThrow(refused('ACCESS_DENIED'))
  })

  it('refuses a certificate whose bytes were changed', async () => {
    const {raw} = parsed(await issue(authority))
    const at = raw.indexOf('"alice"')
    raw.write('"mallo"', at)
    const changed = new X509Certificate(raw)
    expect(() => verify(changed)).toThrow(refused('ACCESS_DENIED'))
  })

  it('draws the line to the second', async () => {
    const start = Math.floor(now / 1000) * 1000
    const end = start + hour
    const certificate = parsed(await issue(authority, {notBefore: start, notAfter: end}))
    expect(() => verify(certificate, [authority], start - 1)).toThrow(refused('EXPIRED'))
    expect(verify(certificate, [authority], start).certificate).toBe(certificate)
    expect(verify(certificate, [authority], end - 1).certificate).toBe(certificate)
    expect(() => verify(certificate, [authority], end)).toThrow(refused('EXPIRED'))
    expect(() => verify(certificate, [authority], end + 1000)).toThrow(/expired at/)
    expect(() => verify(certificate, [authority], start - 1000)).toThrow(/valid only from/)
  })

  it('refuses everything when it cannot tell the time', async () => {
    const certificate = parsed(await issue(authority))
    expect(() => verify(certificate, [authority], NaN)).toThrow(refused('EXPIRED'))
  })
})

const identityBytes = (user: string): Buffer => Buffer.from(JSON.stringify(userIdentity({user})))

describe('verifySocket', () => {
  const open: (tls.Server | tls.TLSSocket)[] = []
  afterEach(() => {
    for (const one of open.splice(0)) {
      if (one instanceof tls.Server) one.close()
      else one.destroy()
    }
  })

  /** What the server's end of a real TLS connection says about the client. */
  async function serverSees(credentials?: {cert: string; key: string}): Promise<Peer> {
    const host = await issue(authority, {purposes: ['server'], hosts: ['localhost'], identity: hostIdentity()})
    const server = tls.createServer({
      cert: host.certificate,
      key: host.privateKey.reveal(),
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
    })
    open.push(server)
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const accepted = once(server, 'secureConnection')
    const {port} = server.address() as AddressInfo
    const client = tls.connect({
      host: '127.0.0.1',
      port,
      ca: authority.certificate,
      servername: 'localhost',
      ...credentials,
    })
    client.on('error', () => undefined)
    const [socket] = (await accepted) as [tls.TLSSocket]
    open.push(client, socket)
    return verifySocket(socket, {authorities: [authority.certificate], purpose: 'client', now: Date.now()})
  }

  const shown = async (from: Authority): Promise<{cert: string; key: string}> => {
    const {certificate, privateKey} = await issue(from, {notBefore: now - minute})
    return {cert: certificate, key: privateKey.reveal()}
  }

  it('knows the client of a real connection', async () => {
    expect((await serverSees(await shown(authority))).identity).toEqual(userIdentity())
  })

  it('refuses a client without a certificate', async () => {
    await expect(serverSees()).rejects.toMatchObject({code: 'NOT_LOGGED_IN'})
  })

  it('refuses a client of another authority', async () => {
    await expect(serverSees(await shown(twin))).rejects.toMatchObject({code: 'ACCESS_DENIED'})
  })
})
