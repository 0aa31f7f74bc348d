/** SCRAM-SHA-256 from the server's side (RFC 5802, RFC 7677), for users who sign in with a password. */
import {createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual} from 'node:crypto'
import type {Secret} from '../core/secret.js'

/** What a server keeps of a password. */
export interface ScramVerifier {
  readonly iterations: number
  readonly salt: Buffer
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

/** PostgreSQL's. */
export const defaultIterations = 4096
const keyBytes = 32
const saltBytes = 16
const nonceBytes = 18

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
const hash = (data: Buffer): Buffer => createHash('sha256').update(data).digest()

/** From PostgreSQL's own form, `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`; undefined when it is another. */
export function parseVerifier(text: string): ScramVerifier | undefined {
  const match = /^SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)$/.exec(text)
  if (!match) return undefined
  const [salt, storedKey, serverKey] = match.slice(2).map((part) => Buffer.from(part, 'base64'))
  return salt && storedKey && serverKey && {iterations: Number(match[1]), salt, storedKey, serverKey}
}

export function verifierOf(
  password: Secret,
  salt: Buffer = randomBytes(saltBytes),
  rounds = defaultIterations,
): ScramVerifier {
  const salted = pbkdf2Sync(password.reveal().normalize('NFKC'), salt, rounds, keyBytes, 'sha256')
  return {iterations: rounds, salt, storedKey: hash(hmac(salted, 'Client Key')), serverKey: hmac(salted, 'Server Key')}
}

/** Whether the password is the one that the verifier was made of. */
export function isPassword(password: Secret, verifier: ScramVerifier): boolean {
  return timingSafeEqual(verifierOf(password, verifier.salt, verifier.iterations).storedKey, verifier.storedKey)
}

/** The exchange with one client, first message read. */
export interface ScramServer {
  readonly challenge: string
  /** The server's proof; undefined when the client's was wrong. */
  finish(final: string): string | undefined
}

/** Answers a client's first message; undefined when it is malformed. */
export function answerScram(first: string, verifier: ScramVerifier): ScramServer | undefined {
  // No channel binding: `n,,` or `y,,`, then the message that both sides sign.
  const [, header, bare] = /^([ny],,)(n=[^,]*,r=.+)$/.exec(first) ?? []
  const clientNonce = /,r=([^,]+)/.exec(bare ?? '')?.[1]
  if (header === undefined || bare === undefined || clientNonce === undefined) return undefined
  const nonce = clientNonce + randomBytes(nonceBytes).toString('base64')
  const challenge = `r=${nonce},s=${verifier.salt.toString('base64')},i=${verifier.iterations}`
  const binding = `c=${Buffer.from(header).toString('base64')},r=${nonce}`
  return {
    challenge,
    finish: (final) => {
      const proof = Buffer.from(/,p=([^,]+)$/.exec(final)?.[1] ?? '', 'base64')
      if (!final.startsWith(`${binding},p=`) || proof.length !== keyBytes) return undefined
      const signed = `${bare},${challenge},${binding}`
      const signature = hmac(verifier.storedKey, signed)
      const clientKey = proof.map((byte, index) => byte ^ (signature[index] ?? 0))
      if (!timingSafeEqual(hash(Buffer.from(clientKey)), verifier.storedKey)) return undefined
      return `v=${hmac(verifier.serverKey, signed).toString('base64')}`
    },
  }
}
