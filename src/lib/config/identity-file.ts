import {X509Certificate} from 'node:crypto'
import {PosternError} from '../core/errors.js'
import {Secret} from '../core/secret.js'
import type {Credentials} from '../pki/credentials.js'
import {createPrivateFile, readOptionalFile, writePrivateFile} from './private-file.js'

/** Everything needed to speak to a cluster without a profile, in one file. */
export interface FileIdentity {
  readonly cluster: string
  /** Who it speaks for, for people to read; what counts is in the certificate. */
  readonly user: string
  /** `host:port` of the proxy; absent in the identity that a control plane keeps for its own host. */
  readonly proxy?: string
  readonly credentials: Credentials
  /** PEM certificates of the host CA. */
  readonly hostAuthorities: readonly string[]
}

/**
 * Writes key, certificate and host CA as one PEM bundle, mode 0600.
 * @throws PosternError ALREADY_EXISTS unless `overwrite`
 */
export async function writeIdentityFile(
  file: string,
  identity: FileIdentity,
  {overwrite}: {readonly overwrite: boolean},
): Promise<void> {
  await (overwrite ? writePrivateFile : createPrivateFile)(file, formatIdentity(identity))
}

/** @throws PosternError NOT_FOUND when there is no such file, INVALID when it is no identity. */
export async function readIdentityFile(file: string): Promise<FileIdentity> {
  const text = await readOptionalFile(file)
  if (text === undefined) {
    throw new PosternError('NOT_FOUND', `There is no identity file at ${file}.`, {
      hint: 'Make one with `postern auth sign --format=file` or `postern login --out`.',
    })
  }
  return parseIdentity(text, file)
}

/** PEM allows text before its blocks (RFC 7468 §2): ours says for whom and where the identity is. */
function formatIdentity({cluster, user, proxy, credentials, hostAuthorities}: FileIdentity): string {
  const heading = {cluster, user, ...(proxy === undefined ? {} : {proxy})}
  const blocks = [credentials.privateKey.reveal(), credentials.certificate, ...hostAuthorities]
  return `${headingMark}${JSON.stringify(heading)}\n${blocks.map((block) => `${block.trim()}\n`).join('')}`
}

const headingMark = 'postern identity: '
const pemBlock = /-----BEGIN (CERTIFICATE|[A-Z ]*PRIVATE KEY)-----[^-]+-----END \1-----/g

function parseIdentity(text: string, file: string): FileIdentity {
  const invalid = (why: string, cause?: unknown): PosternError =>
    new PosternError('INVALID', `${file} is not an identity file: ${why}.`, {cause})
  const blocks = [...text.matchAll(pemBlock)].map(([block, type = '']) => ({pem: `${block}\n`, type}))
  const key = blocks.find(({type}) => type.endsWith('PRIVATE KEY'))
  const [certificate, ...hostAuthorities] = blocks.filter(({type}) => type === 'CERTIFICATE').map(({pem}) => pem)
  if (!key || !certificate || hostAuthorities.length === 0) {
    throw invalid('it must hold a private key, its certificate and the host CA')
  }
  return {
    ...readHeading(text, invalid),
    credentials: {certificate, privateKey: new Secret(key.pem)},
    hostAuthorities,
  }
}

function readHeading(
  text: string,
  invalid: (why: string, cause?: unknown) => PosternError,
): Pick<FileIdentity, 'cluster' | 'user' | 'proxy'> {
  const line = text.split('\n').find((candidate) => candidate.startsWith(headingMark))
  if (!line) throw invalid(`it has no line that begins with "${headingMark.trim()}"`)
  let heading: Record<string, unknown>
  try {
    heading = JSON.parse(line.slice(headingMark.length)) as Record<string, unknown>
  } catch (error) {
    throw invalid('its first line is damaged', error)
  }
  const {cluster, user, proxy} = heading
  if (typeof cluster !== 'string' || typeof user !== 'string') throw invalid('it names no cluster and no user')
  return {cluster, user, ...(typeof proxy === 'string' ? {proxy} : {})}
}

/** When the identity ends, in milliseconds since 1970. */
export function identityExpires({credentials}: FileIdentity): number {
  return Date.parse(new X509Certificate(credentials.certificate).validTo)
}
