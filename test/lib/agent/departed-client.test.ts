/** Who leaves before the database has let them in: nothing stays open for them, and the audit tells of no session. */
import {once} from 'node:events'
import {createServer, type AddressInfo, type Server, type Socket} from 'node:net'
import {TLSSocket} from 'node:tls'
import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {stillOpening} from '../../../src/lib/tunnel/greeting.js'
import {Plane} from './plane.js'
import {greet, serverCertificate, startRig, startup, until, type Rig} from './rig.js'

type Stage = 'request for TLS' | 'handshake' | 'sign-in'

let plane: Plane
let rig: Rig
let server: Server
/** Where the server stops to answer. */
let stage: Stage
/** Connections that have come so far. */
let held: Socket[]

beforeAll(async () => {
  plane = await Plane.create()
  const {certificate, privateKey} = await serverCertificate(plane)
  const tls = {isServer: true, cert: certificate, key: privateKey.reveal()}
  server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => {
      if (stage === 'sign-in') {
        new TLSSocket(socket, tls).once('data', () => held.push(socket)).on('error', () => undefined)
        socket.write('S')
        return
      }
      held.push(socket)
      if (stage === 'handshake') socket.write('S')
      socket.resume()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  rig = await startRig({plane, uri: `127.0.0.1:${(server.address() as AddressInfo).port}`})
})

afterAll(async () => {
  await rig.stop()
  server.close()
})

it.each<[Stage, 'agent' | 'direct']>([
  ['request for TLS', 'agent'],
  ['handshake', 'agent'],
  ['sign-in', 'agent'],
  ['sign-in', 'direct'],
])('is let go of during the %s, on the %s route', async (where, route) => {
  stage = where
  held = []
  const before = plane.events.length
  const credentials = await rig.guest()
  const client = route === 'agent' ? await rig.dial(credentials) : await rig.dialDirect(credentials)
  if (route === 'agent') expect(await greet(client)).toEqual({ok: true})
  client.write(startup())
  await until(() => held.length === 1, 'the database is asked')
  client.destroy()
  await until(() => held[0]?.destroyed === true, 'the connection to the database is closed')
  await until(() => plane.events.length > before, 'the audit has arrived')
  expect(plane.events.slice(before)).toMatchObject([
    {code: 'TDB00W', error: 'The client left before the session began.', success: false},
  ])
})

it('says again and again that it is at work, to whoever stays', async () => {
  stage = 'request for TLS'
  held = []
  const client = await rig.dial(await rig.guest())
  expect(await greet(client)).toEqual({ok: true})
  const chunks: Buffer[] = []
  client.on('data', (chunk: Buffer) => chunks.push(chunk))
  client.write(startup())
  await until(() => Buffer.concat(chunks).length >= 2 * stillOpening.length, 'it has said so twice')
  client.destroy()
  expect(Buffer.concat(chunks).subarray(0, 2 * stillOpening.length)).toEqual(
    Buffer.concat([stillOpening, stillOpening]),
  )
})
