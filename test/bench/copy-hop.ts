/**
 * One of three Node processes that copy bytes between a client and PostgreSQL and do nothing else, with TLS where Postern has
 * it: what the runtime itself costs. `node copy-hop.js SIDE TARGET-PORT CERTIFICATE KEY AUTHORITY`:
 *
 *   client ──plain──► near ──TLS──► middle (does not open it) ──TLS──► far ──SSLRequest, TLS──► PostgreSQL
 */
import {readFileSync} from 'node:fs'
import {connect as dial, createServer, type AddressInfo, type Server, type Socket} from 'node:net'
import {connect as dialTls, createServer as createTlsServer} from 'node:tls'

const [side, port, certificate, key, authority] = process.argv.slice(2) as [Side, string, string, string, string]
type Side = 'near' | 'middle' | 'far'

const target = {host: '127.0.0.1', port: Number(port)}
const trust = {ca: readFileSync(authority), servername: 'localhost'}
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

function join(client: Socket, server: Socket): void {
  for (const [from, to] of [
    [client, server],
    [server, client],
  ] as const) {
    from.setNoDelay(true)
    from.on('data', (chunk) => {
      to.write(chunk)
    })
    from.on('error', () => undefined)
    from.on('close', () => {
      to.destroySoon()
    })
  }
}

function toPostgres(client: Socket): void {
  client.pause()
  const plain = dial(target)
  plain.on('error', () => client.destroy())
  plain.write(sslRequest)
  plain.once('data', () => {
    join(client, dialTls({socket: plain, ...trust}))
    client.resume()
  })
}

function serve(): Server {
  if (side === 'near')
    return createServer((client) => {
      join(client, dialTls({...target, ...trust}))
    })
  if (side === 'middle')
    return createServer((client) => {
      join(client, dial(target))
    })
  return createTlsServer({cert: readFileSync(certificate), key: readFileSync(key)}, toPostgres)
}

const server = serve().listen(0, '127.0.0.1', () => {
  process.stdout.write(`listening on ${(server.address() as AddressInfo).port}\n`)
})

// Its exit writes the profile, when one is wanted.
process.on('SIGTERM', () => process.exit())
