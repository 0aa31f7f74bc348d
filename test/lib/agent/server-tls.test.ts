import {execFile} from 'node:child_process'
import {once} from 'node:events'
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import type {AddressInfo} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
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
const [, , port, tlsSettings] = process.argv
const database = {spec: {uri: 'db.example.com:5432', tls: JSON.parse(tlsSettings)}}
const tls = await serverTls(database, 'db.example.com', {authorities: [], isPublic: false, namesHint: ''})
try {
  await secure(connect(Number(port), '127.0.0.1'), tls, undefined, 120_000)
  console.log('connected')
} catch (error) {
  console.log(error.code)
}
process.exit()
`

it('NODE_TLS_REJECT_UNAUTHORIZED does not make the agent trust a stranger, SSL_CERT_FILE says whom the system trusts', async () => {
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
  const directory = await mkdtemp(join(tmpdir(), 'server-tls-'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    const {port} = server.address() as AddressInfo
    const script = pathToFileURL('dist/lib/agent/server-tls.js').href
    const answer = async (settings: object, more: Readonly<Record<string, string>>): Promise<string> => {
      const parameters = [script, String(port), JSON.stringify(settings)]
      const {stdout} = await run(process.execPath, ['--input-type=module', '-e', dial, ...parameters], {
        env: {...process.env, NODE_OPTIONS: '', ...more},
        timeout: 170_000,
      })
      return stdout.trim()
    }
    const unverified = {NODE_TLS_REJECT_UNAUTHORIZED: '0'}
    expect(await answer({ca_cert: stranger.certificate}, unverified)).toBe('connected')
    expect(await answer({ca_cert: authority.certificate}, unverified)).toMatch(/SIGNATURE|UNABLE_TO|SELF_SIGNED/)
    const file = join(directory, 'roots.pem')
    await writeFile(file, stranger.certificate)
    expect(await answer({trust_system_cert_pool: true}, {SSL_CERT_FILE: file})).toBe('connected')
  } finally {
    server.close()
    await rm(directory, {recursive: true})
  }
})
