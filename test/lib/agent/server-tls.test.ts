import {execFile} from 'node:child_process'
import {once} from 'node:events'
import type {AddressInfo} from 'node:net'
import {createServer} from 'node:tls'
import {pathToFileURL} from 'node:url'
import {promisify} from 'node:util'
import {expect, it} from '@jest/globals'
import {createAuthority, issueCertificate} from '../../../src/lib/pki/issuing.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'

const run = promisify(execFile)

/** Dials as the agent does, in a process whose environment tells Node not to verify. */
const dial = `
const {serverTls, secure} = await import(process.argv[1])
const {connect} = await import('node:net')
const [, , port, ca] = process.argv
const database = {spec: {uri: 'db.example.com:5432', tls: {ca_cert: ca}}}
const tls = await serverTls(database, 'db.example.com', {authorities: [], isPublic: false, namesHint: ''})
try {
  await secure(connect(Number(port), '127.0.0.1'), tls, undefined, 10_000)
  console.log('connected')
} catch (error) {
  console.log(error.code)
}
process.exit()
`

it('NODE_TLS_REJECT_UNAUTHORIZED does not make the agent trust a stranger', async () => {
  const now = Date.now()
  const [authority, stranger] = await Promise.all([
    createAuthority({cluster: 'test', type: 'host', now}),
    createAuthority({cluster: 'test', type: 'host', now}),
  ])
  const keys = await generateKeys()
  const certificate = await issueCertificate({
    authority: stranger,
    publicKey: keys.publicKey,
    commonName: 'db.example.com',
    purposes: ['server'],
    hosts: ['db.example.com'],
    notBefore: now - 60_000,
    notAfter: now + 600_000,
  })
  const server = createServer({cert: certificate, key: keys.privateKey.reveal()})
  server.on('tlsClientError', () => undefined).on('secureConnection', (socket) => socket.on('error', () => undefined))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    const {port} = server.address() as AddressInfo
    const script = pathToFileURL('dist/lib/agent/server-tls.js').href
    const answer = async (ca: string): Promise<string> => {
      const {stdout} = await run(process.execPath, ['--input-type=module', '-e', dial, script, String(port), ca], {
        env: {...process.env, NODE_OPTIONS: '', NODE_TLS_REJECT_UNAUTHORIZED: '0'},
        timeout: 60_000,
      })
      return stdout.trim()
    }
    expect(await answer(stranger.certificate)).toBe('connected')
    expect(await answer(authority.certificate)).toMatch(/SIGNATURE|UNABLE_TO|SELF_SIGNED/)
  } finally {
    server.close()
  }
})
