import {expect, it} from '@jest/globals'
import type {Allowed} from '../../../src/lib/access/decision.js'
import {Authorization} from '../../../src/lib/access/authorization.js'
import {dialDatabase} from '../../../src/lib/agent/dial.js'
import {encodeCancel} from '../../../src/lib/pgwire/first-packet.js'
import {startFalseServer, type FalseServer} from '../../e2e/hostile/false-server.js'
import {freePort} from '../../helpers/cli.js'
import {Plane} from './plane.js'
import {databaseResource, serverCertificate, until} from './rig.js'

const name = 'aurora.example.com'

it('C06: a cancel goes to the address where the session is, also after a failover, or fails quietly', async () => {
  const plane = await Plane.create()
  const certificate = await serverCertificate(plane, [name])
  const [former, latter] = ['127.0.0.1', '127.0.0.2'] as const
  // The name leads to two hosts, and the first one is away.
  const reader = await startFalseServer(certificate, {at: {host: latter, port: await freePort()}})
  const {port} = reader
  let returned: FalseServer | undefined
  try {
    const {signedIn, cancel, socket} = await dialDatabase(
      Authorization.from({explanation: {database: 'example'}} as unknown as Allowed),
      {
        served: {database: databaseResource('example', `${name}:${port}`), origin: 'config-file'},
        target: {
          host: name,
          port,
          dialPort: port,
          addresses: [former, latter].map((address) => ({address, family: 4})),
        },
        method: {
          ...{user: 'alice', dbName: 'postgres', authenticator: {kind: 'none'}},
          ...{authorities: [plane.db.certificate], isPublic: false, namesHint: '', trustHint: ''},
          explain: () => undefined,
        },
        parameters: new Map(),
        hostname: 'db-host',
      },
    )
    socket.on('error', () => undefined)
    expect(signedIn.backendKey?.pid).toBe(4711)
    // The first host is back, and whoever asks for the name is sent there.
    returned = await startFalseServer(certificate, {at: {host: former, port}})
    await cancel()
    await until(() => reader.visits.length === 2, 'the cancel request has arrived')
    const key = {pid: 4711, secret: Buffer.from([1, 2, 3, 4])}
    await until(() => reader.visits[1]?.secured.equals(encodeCancel(key)) ?? false, 'it has the key of the session')
    await reader.stop()
    await cancel()
    expect(returned.visits).toEqual([])
  } finally {
    await returned?.stop()
    await reader.stop().catch(() => undefined)
  }
})
