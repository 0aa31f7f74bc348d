import {readFile} from 'node:fs/promises'
import {rootCertificates} from 'node:tls'
import {PosternError} from '../core/errors.js'

/** Where Linux distributions, BSDs and macOS keep the trusted roots; Node 20 reads none of them by itself. */
const bundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

/**
 * The roots this system trusts, PEM: `file` (SSL_CERT_FILE) when given, else the distribution's bundle, else Node's own.
 * @throws PosternError INVALID when `file` cannot be read.
 */
export async function systemRoots(file?: string): Promise<readonly string[]> {
  if (file) return [await readRootsFile(file)]
  for (const bundle of bundles) {
    const text = await readFile(bundle, 'utf8').catch(() => undefined)
    if (text) return [text]
  }
  return rootCertificates
}

/** PEM certificates of a file the user named. @throws PosternError INVALID */
export async function readRootsFile(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new PosternError('INVALID', `The CA file ${file} cannot be read.`, {cause: error})
  })
  if (!text.includes('-----BEGIN CERTIFICATE-----')) {
    throw new PosternError('INVALID', `The CA file ${file} holds no certificate in PEM.`)
  }
  return text
}
