import {once} from 'node:events'
import {createServer} from 'node:net'
import {expect, it} from '@jest/globals'
import {meetCluster} from '../../../src/lib/cli/login.js'
import {probe} from '../../../src/lib/cli/proxy-address.js'
import {ProfileStore} from '../../../src/lib/config/profile.js'
import {freePort} from '../../helpers/cli.js'

it('a probe finds what listens, and what does not', async () => {
  const port = await freePort()
  const server = createServer((socket) => socket.destroy()).listen(port, '127.0.0.1')
  await once(server, 'listening')
  const signal = new AbortController().signal
  await expect(probe({host: '127.0.0.1', port}, signal)).resolves.toBeUndefined()
  server.close()
  await once(server, 'close')
  await expect(probe({host: '127.0.0.1', port}, signal)).rejects.toMatchObject({code: 'UNREACHABLE'})
})

it('a probe ends when another one has won', async () => {
  const won = new AbortController()
  // An address for documentation (RFC 5737): no answer comes from there.
  const waiting = probe({host: '192.0.2.1', port: 443}, won.signal)
  won.abort()
  await expect(waiting).rejects.toMatchObject({code: 'UNREACHABLE'})
})

it('without a port both usual ones are named when nothing answers', async () => {
  const store = new ProfileStore('/nonexistent/postern')
  // The system refuses to connect there without asking anybody; on loopback somebody may have these ports.
  await expect(meetCluster({host: '255.255.255.255'}, {pins: []}, store)).rejects.toMatchObject({
    code: 'UNREACHABLE',
    message: 'No proxy answers at 255.255.255.255 on ports 443 and 3080.',
  })
})
