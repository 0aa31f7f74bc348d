import {once} from 'node:events'
import {connect, createServer, type Server} from 'node:net'
import {afterEach, expect, it} from '@jest/globals'
import {silentLogger, type Logger} from '../../../src/lib/core/log.js'
import {listenAs} from '../../../src/lib/tunnel/listening.js'

const servers: Server[] = []

afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

function open(): Server {
  const server = createServer((socket) => socket.end('hello'))
  servers.push(server)
  return server
}

const loopback = {host: '127.0.0.1', port: 0}

it('says where it listens, and who cannot', async () => {
  const options = {service: 'The proxy', hint: 'Take another port.', logger: silentLogger}
  const address = await listenAs(open(), loopback, options)
  expect(address).toEqual({host: '127.0.0.1', port: expect.any(Number)})
  await expect(listenAs(open(), address, options)).rejects.toMatchObject({
    code: 'UNREACHABLE',
    message: expect.stringMatching(`^The proxy cannot listen on 127.0.0.1:${address.port}: .*EADDRINUSE.*[.]$`),
    hints: ['Take another port.'],
  })
})

it('outlives connections that cannot be accepted, however many, and serves those that can', async () => {
  const server = open()
  const lost: unknown[] = []
  const logger: Logger = {...silentLogger, error: (_message, fields) => lost.push(fields?.error)}
  const {host, port} = await listenAs(server, loopback, {service: 'The proxy', hint: '', logger})
  // As Node tells it, connection by connection, when the system is out of memory for sockets.
  for (let count = 0; count < 3; count += 1) server.emit('error', new Error('accept ENOBUFS'))
  expect(lost).toEqual(['accept ENOBUFS', 'accept ENOBUFS', 'accept ENOBUFS'])
  const [data] = (await once(connect(port, host), 'data')) as [Buffer]
  expect(data.toString()).toBe('hello')
})
