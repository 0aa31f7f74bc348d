import {mkdtemp, readFile, rm, stat, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {createPrivateKey, X509Certificate} from 'node:crypto'
import {afterEach, beforeEach, expect, it} from '@jest/globals'
import {
  identityExpires,
  readIdentityFile,
  writeIdentityFile,
  type FileIdentity,
} from '../../../src/lib/config/identity-file.js'
import {createAuthority, issueCertificate} from '../../../src/lib/pki/issuing.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'

let directory = ''
let file = ''
let identity: FileIdentity

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'identity-'))
  file = join(directory, 'identity.pem')
  const now = Date.now()
  const authority = await createAuthority({cluster: 'example.com', type: 'host', now})
  const keys = await generateKeys()
  const certificate = await issueCertificate({
    authority,
    publicKey: keys.publicKey,
    commonName: 'alice',
    purposes: ['client'],
    notBefore: now,
    notAfter: now + 3_600_000,
  })
  identity = {
    cluster: 'example.com',
    user: 'email@example.com',
    proxy: 'proxy.example.com:443',
    credentials: {certificate, privateKey: keys.privateKey},
    hostAuthorities: [authority.certificate],
  }
})

afterEach(async () => {
  await rm(directory, {recursive: true, force: true})
})

it('is one PEM bundle that only its owner can read, and is read back as it was', async () => {
  await writeIdentityFile(file, identity, {overwrite: false})
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  const found = await readIdentityFile(file)
  expect({...found, credentials: undefined}).toEqual({...identity, credentials: undefined})
  expect(found.credentials.privateKey.reveal()).toBe(identity.credentials.privateKey.reveal())
  expect(
    new X509Certificate(found.credentials.certificate).checkPrivateKey(
      createPrivateKey(found.credentials.privateKey.reveal()),
    ),
  ).toBe(true)
  expect(identityExpires(found)).toBeGreaterThan(Date.now())
})

it('is not overwritten unless that is asked for', async () => {
  await writeFile(file, 'precious')
  await expect(writeIdentityFile(file, identity, {overwrite: false})).rejects.toMatchObject({code: 'ALREADY_EXISTS'})
  expect(await readFile(file, 'utf8')).toBe('precious')
  await writeIdentityFile(file, identity, {overwrite: true})
  expect((await readIdentityFile(file)).user).toBe('email@example.com')
})

it('may name no proxy', async () => {
  const {cluster, user, credentials, hostAuthorities} = identity
  await writeIdentityFile(file, {cluster, user, credentials, hostAuthorities}, {overwrite: false})
  expect(await readIdentityFile(file)).not.toHaveProperty('proxy')
})

it.each([
  ['is empty', () => ''],
  ['holds no key', (text: string) => text.replace(/-----BEGIN PRIVATE[^]*?END PRIVATE KEY-----/, '')],
  ['holds no CA', (text: string) => text.slice(0, text.lastIndexOf('-----BEGIN CERTIFICATE-----'))],
  ['does not say for whom it is', (text: string) => text.replace(/^postern identity.*$/m, '')],
  ['has a damaged first line', (text: string) => text.replace(/\}$/m, '')],
])('is refused when it %s', async (_what, damage) => {
  await writeIdentityFile(file, identity, {overwrite: false})
  await writeFile(file, damage(await readFile(file, 'utf8')))
  await expect(readIdentityFile(file)).rejects.toMatchObject({code: 'INVALID'})
})

it('is reported missing by its path', async () => {
  await expect(readIdentityFile(file)).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: expect.stringContaining(file),
  })
})
