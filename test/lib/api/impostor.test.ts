import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, afterEach, describe, expect, it} from '@jest/globals'
import {contactCluster, type Contact} from '../../../src/lib/api/contact.js'
import {createAuthority} from '../../../src/lib/pki/issuing.js'
import {pinOf} from '../../../src/lib/pki/pin.js'
import {cluster, newAuthority} from '../pki/issued.js'
import {closePlanes, serverName, startPlane, type Handler, type PlaneOptions} from './planes.js'

/**
 * Somebody between the laptop and the cluster, who owns the address and shows what they like:
 * the pin is all that the laptop knows.
 */
const [host, evil] = await Promise.all([newAuthority(), newAuthority()])
const pins = [pinOf(host.certificate)]
const directory = await mkdtemp(join(tmpdir(), 'postern-contact-'))

afterEach(closePlanes)
afterAll(() => rm(directory, {recursive: true}))

/** Answers the two public questions of the first contact, and counts what came after them. */
function answers(authorities: unknown, found: unknown = {cluster_name: cluster}): Handler {
  return (request, response) => {
    response.end(JSON.stringify(request.url === '/v1/webapi/find' ? found : authorities))
  }
}

async function contact(options: PlaneOptions): Promise<Contact> {
  const {port} = await startPlane(options)
  return contactCluster('127.0.0.1', port, {pins})
}

const list = (...authorities: unknown[]): {authorities: unknown[]} => ({authorities})

describe('a first contact by pin', () => {
  it('succeeds with the cluster of the pinned authority', async () => {
    const {endpoint, find} = await contact({authority: host, answer: answers(list(host.certificate))})
    expect(find).toEqual({cluster_name: cluster})
    expect(endpoint).toMatchObject({serverName, authorities: [host.certificate]})
  })

  it('keeps only the pinned authority of those it is shown', async () => {
    const {endpoint} = await contact({authority: host, answer: answers(list(evil.certificate, host.certificate))})
    expect(endpoint.authorities).toEqual([host.certificate])
  })

  it.each<[string, PlaneOptions]>([
    ['shows an authority of their own', {authority: evil, answer: answers(list(evil.certificate))}],
    ['shows ours and has a certificate of theirs', {authority: evil, answer: answers(list(host.certificate))}],
    ['hides theirs behind ours', {authority: evil, answer: answers(list(host.certificate + evil.certificate))}],
    ['puts theirs before ours', {authority: evil, answer: answers(list(evil.certificate + host.certificate))}],
    [
      // A stolen agent may hold the certificate of a database that somebody called `auth`.
      'has a certificate of our authority for auth.db.<cluster>, and calls the cluster db.<cluster>',
      {
        authority: host,
        certificate: {hosts: [`auth.db.${cluster}`]},
        answer: answers(list(host.certificate), {cluster_name: `db.${cluster}`}),
      },
    ],
    ['sends nothing', {authority: host, answer: (_request, response) => response.end()}],
    ['sends null', {authority: host, answer: answers(null)}],
    ['sends no list', {authority: host, answer: answers({authorities: host.certificate})}],
    ['sends an empty list', {authority: host, answer: answers(list())}],
    ['sends other things in the list', {authority: host, answer: answers(list(host.certificate, null))}],
    ['sends garbage', {authority: host, answer: answers(list('-----BEGIN CERTIFICATE-----'))}],
    [
      'sends more than a list',
      {authority: host, answer: answers(list(...Array.from({length: 17}, () => host.certificate)))},
    ],
  ])('ends when somebody %s', async (_, options) => {
    await expect(contact(options)).rejects.toMatchObject({code: 'UNTRUSTED', exitCode: 7})
  })

  it('ends when the pinned authority names no cluster', async () => {
    const nameless = await createAuthority({cluster: '', type: 'host', now: Date.now()})
    const {port} = await startPlane({authority: nameless, answer: answers(list(nameless.certificate))})
    const lone = contactCluster('127.0.0.1', port, {pins: [pinOf(nameless.certificate)]})
    await expect(lone).rejects.toMatchObject({code: 'UNTRUSTED'})
  })

  it('asks nobody when the pin is no pin', async () => {
    let asked = 0
    const {port} = await startPlane({authority: host, answer: () => (asked += 1)})
    await expect(contactCluster('127.0.0.1', port, {pins: ['sha256:0']})).rejects.toMatchObject({code: 'INVALID'})
    expect(asked).toBe(0)
  })

  it('is not talked out of the pin by --insecure', async () => {
    const {port} = await startPlane({authority: evil, answer: answers(list(evil.certificate))})
    const insecure = contactCluster('127.0.0.1', port, {pins, insecure: true})
    await expect(insecure).rejects.toMatchObject({code: 'UNTRUSTED'})
  })
})

describe('a first contact without a pin', () => {
  it('verifies the address with the CA file, and with nothing else', async () => {
    const caFile = join(directory, 'ca.pem')
    await writeFile(caFile, host.certificate)
    const meet = async (options: PlaneOptions): Promise<Contact> => {
      const {port} = await startPlane({answer: answers({}), ...options})
      return contactCluster('127.0.0.1', port, {caFile})
    }
    const named = {hosts: ['127.0.0.1']}
    expect((await meet({authority: host, certificate: named})).endpoint).not.toHaveProperty('serverName')
    await expect(meet({authority: evil, certificate: named})).rejects.toMatchObject({code: 'UNTRUSTED'})
    await expect(meet({authority: host})).rejects.toMatchObject({code: 'UNTRUSTED'})
  })

  it('takes the roots of SSL_CERT_FILE', async () => {
    const rootsFile = join(directory, 'roots.pem')
    await writeFile(rootsFile, evil.certificate + host.certificate)
    const {port} = await startPlane({authority: host, certificate: {hosts: ['127.0.0.1']}, answer: answers({})})
    expect((await contactCluster('127.0.0.1', port, {rootsFile})).find).toEqual({cluster_name: cluster})
  })

  it('trusts whoever answers only when told to', async () => {
    const {port} = await startPlane({authority: evil, answer: answers({})})
    await expect(contactCluster('127.0.0.1', port, {})).rejects.toMatchObject({code: 'UNTRUSTED'})
    expect((await contactCluster('127.0.0.1', port, {insecure: true})).endpoint.authorities).toBe('unverified')
  })
})
