/**
 * Seals: lines between the records of a recording, with which the control plane vouches for everything before them.
 *
 *   head ─────────────── link 0 = SHA-256(head)
 *   record, record, …
 *   seal 1 ───────────── link 1 = SHA-256(link 0, SHA-256 of each record since), signed
 *   record, …
 *   seal 2 ───────────── link 2 = SHA-256(link 1, …), signed
 *
 * Whoever changes, removes or adds a record breaks the link behind it, and cannot sign another: agents do not hold the key.
 * A seal also keeps the beginning of each record's digest, so that the record can be named.
 */
import {createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify} from 'node:crypto'
import type {KeyObject} from 'node:crypto'
import {Secret} from '../core/secret.js'

/** What a seal vouches for. */
export interface Vouched {
  /** Seals so far. */
  readonly seal: number
  /** Records so far. */
  readonly records: number
  /** Hex. */
  readonly link: string
}

export interface Seal extends Vouched {
  /** RFC 3339. */
  readonly time: string
  /** Which key signed it. */
  readonly key: string
  /** base64 */
  readonly signature: string
  /** The first bytes of the digest of each record since the seal before. */
  readonly digests: Buffer
}

const prefix = '{"seal":'
const digestBytes = 8

/** A key that signs, Ed25519: fast enough for a signature per batch, and with nothing to choose. */
export class SealingKey {
  /** The first bytes of the hash of the public key. */
  readonly id: string
  /** PEM. */
  readonly publicKey: string
  readonly #privateKey: KeyObject

  /** @param pem PKCS #8 */
  constructor(pem: Secret) {
    this.#privateKey = createPrivateKey(pem.reveal())
    const key = createPublicKey(this.#privateKey)
    this.publicKey = key.export({type: 'spki', format: 'pem'}).toString()
    this.id = keyId(key)
  }

  static generate(): Secret {
    const {privateKey} = generateKeyPairSync('ed25519')
    return new Secret(privateKey.export({type: 'pkcs8', format: 'pem'}).toString())
  }

  /** @returns base64 */
  sign(text: string): string {
    return sign(null, Buffer.from(text), this.#privateKey).toString('base64')
  }
}

/** Public keys by their ids. */
export type SealKeys = ReadonlyMap<string, KeyObject>

/** @throws when one is no key */
export function readSealKeys(pems: readonly string[]): SealKeys {
  return new Map(
    pems.map((pem) => {
      const key = createPublicKey(pem)
      return [keyId(key), key]
    }),
  )
}

function keyId(key: KeyObject): string {
  return sha256(key.export({type: 'spki', format: 'der'})).toString('hex', 0, digestBytes)
}

/** What a head vouches for, before any seal. */
export function beginChain(head: string): Vouched {
  return {seal: 0, records: 0, link: sha256(head).toString('hex')}
}

/** What a seal behind these digests of records vouches for. */
export function extendChain({seal, records, link}: Vouched, digests: readonly Buffer[]): Vouched {
  const next = sha256(Buffer.concat([Buffer.from(link, 'hex'), ...digests]))
  return {seal: seal + 1, records: records + digests.length, link: next.toString('hex')}
}

/** The digest of a record, a line without its end. */
export function digestOf(record: string): Buffer {
  return sha256(record)
}

/** The line of a seal, without its end. @param now milliseconds since 1970 */
export function formatSeal(
  vouched: Vouched,
  {digests, key, now}: {readonly digests: readonly Buffer[]; readonly key: SealingKey; readonly now: number},
): string {
  const time = new Date(now).toISOString()
  return JSON.stringify({
    ...vouched,
    time,
    digests: Buffer.concat(digests.map((digest) => digest.subarray(0, digestBytes))).toString('base64'),
    key: key.id,
    signature: key.sign(signedText(vouched, time)),
  })
}

export function isSeal(line: string): boolean {
  return line.startsWith(prefix)
}

/** What a line seals; undefined when it is no seal that can be read. */
export function parseSeal(line: string): Seal | undefined {
  if (!isSeal(line)) return undefined
  try {
    const {seal, records, link, time, digests, key, signature} = JSON.parse(line) as Record<string, unknown>
    if (typeof seal !== 'number' || typeof records !== 'number') return undefined
    return {
      ...{seal, records, link: String(link), time: String(time), key: String(key), signature: String(signature)},
      digests: Buffer.from(String(digests), 'base64'),
    }
  } catch {
    return undefined
  }
}

/** The record, counted from the seal before, whose digest is not the sealed one; undefined when all are. */
export function firstDifference({digests: sealed}: Seal, found: readonly Buffer[]): number | undefined {
  const count = Math.max(found.length, Math.floor(sealed.length / digestBytes))
  for (let index = 0; index < count; index += 1) {
    const start = index * digestBytes
    if (!found[index]?.subarray(0, digestBytes).equals(sealed.subarray(start, start + digestBytes))) return index
  }
  return undefined
}

/** Whether the key that a seal names has signed it. */
export function isSigned(seal: Seal, keys: SealKeys): boolean {
  return isSignedBy(signedText(seal, seal.time), seal, keys)
}

/** Whether a text has the signature of the key with this id. */
export function isSignedBy(
  text: string,
  {key, signature}: {readonly key: string; readonly signature: string},
  keys: SealKeys,
): boolean {
  const known = keys.get(key)
  return known !== undefined && verify(null, Buffer.from(text), known, Buffer.from(signature, 'base64'))
}

function signedText({seal, records, link}: Vouched, time: string): string {
  return `postern recording\n${seal}\n${records}\n${link}\n${time}`
}

function sha256(data: string | Buffer): Buffer {
  return createHash('sha256').update(data).digest()
}
