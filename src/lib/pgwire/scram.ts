/**
 * SCRAM-SHA-256, the client's side (RFC 5802 §3, §5; RFC 7677):
 *
 *   client ── n,,n=<user>,r=<client nonce> ───────────────────────► server
 *          ◄─ r=<client nonce><server nonce>,s=<salt>,i=<rounds> ──
 *          ── c=biws,r=<both nonces>,p=<proof> ───────────────────►
 *          ◄─ v=<server's signature> ──────────────────────────────
 *
 * Left out, and why that is safe:
 * - Channel binding (SCRAM-SHA-256-PLUS, §6). Header `n` says that we do not do it; TLS to the server is verified otherwise.
 * - Of SASLprep (RFC 4013) the checks for prohibited, unassigned and bidirectional characters. PostgreSQL hashes a password
 *   that fails them as it is; such a password is refused by the server here, never weakened. ASCII is untouched by SASLprep.
 *
 * The server is not trusted: every value has a cap, and its signature must prove that it knows the password's verifier.
 */
import {createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual} from 'node:crypto'
import {promisify} from 'node:util'
import {PosternError} from '../core/errors.js'
import type {Secret} from '../core/secret.js'

export const scramMechanism = 'SCRAM-SHA-256'

/** RFC 7677 §4: fewer make an intercepted proof cheap to guess from. More only serve to burn our time. */
const rounds = {fewest: 4096, most: 1_000_000} as const
const nonceBytes = 18
const longestNonce = 1024
const longestSalt = 1024
const keyBytes = 32
/** GS2 header (RFC 5802 §7): no channel binding, no authorization identity. */
const header = 'n,,'

export interface ScramExchange {
  /** The client-first message. */
  readonly first: string
  /**
   * The client-final message, and the check of the server-final message that must follow.
   * @throws PosternError UNTRUSTED when the server's message breaks the protocol or a cap.
   */
  readonly respond: (serverFirst: string) => Promise<ScramFinal>
}

export interface ScramFinal {
  readonly final: string
  /** @throws PosternError UNTRUSTED when the server does not prove that it knows the password. */
  readonly verify: (serverFinal: string) => void
}

export interface ScramOptions {
  /** PostgreSQL takes the user from the startup message and ignores this one. */
  readonly user?: string
  readonly nonce?: string
}

/** Begins an exchange; each takes a nonce of its own. */
export function startScram(password: Secret, options: ScramOptions = {}): ScramExchange {
  const nonce = options.nonce ?? randomBytes(nonceBytes).toString('base64')
  // RFC 5802 §5.1: "," and "=" in names are written as =2C and =3D.
  const user = (options.user ?? '').replaceAll('=', '=3D').replaceAll(',', '=2C')
  const firstBare = `n=${user},r=${nonce}`
  return {
    first: header + firstBare,
    respond: async (serverFirst) => {
      const challenge = readServerFirst(serverFirst, nonce)
      const finalBare = `c=${Buffer.from(header).toString('base64')},r=${challenge.nonce}`
      const authMessage = `${firstBare},${serverFirst},${finalBare}`
      const keys = await deriveKeys(password, challenge, authMessage)
      return {
        final: `${finalBare},p=${keys.proof.toString('base64')}`,
        verify: (serverFinal) => {
          verifyServerFinal(serverFinal, keys.serverSignature)
        },
      }
    },
  }
}

interface Challenge {
  readonly nonce: string
  readonly salt: Buffer
  readonly rounds: number
}

function readServerFirst(message: string, clientNonce: string): Challenge {
  // RFC 5802 §7, server-first-message. An `m=` in front would be a mandatory extension, which must end the exchange (§5.1).
  const match = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+={0,2}),i=([1-9][0-9]{0,9})(?:,|$)/.exec(message)
  const [, nonce = '', salt = '', count = ''] = match ?? []
  if (nonce === '') throw untrusted('a SCRAM challenge that is malformed')
  if (!nonce.startsWith(clientNonce) || nonce.length === clientNonce.length) {
    throw untrusted('a SCRAM nonce that does not extend ours')
  }
  if (nonce.length > longestNonce || salt.length > longestSalt) throw untrusted('an oversized SCRAM challenge')
  const wanted = Number(count)
  if (wanted < rounds.fewest || wanted > rounds.most) {
    throw untrusted(`a SCRAM iteration count of ${count}, outside ${rounds.fewest} to ${rounds.most}`)
  }
  return {nonce, salt: Buffer.from(salt, 'base64'), rounds: wanted}
}

/** RFC 5802 §3. The slow step runs on the thread pool, so that other sessions go on. */
async function deriveKeys(password: Secret, challenge: Challenge, authMessage: string) {
  const normalized = saslPrep(password.reveal())
  const salted = await promisify(pbkdf2)(normalized, challenge.salt, challenge.rounds, keyBytes, 'sha256')
  const clientKey = hmac(salted, 'Client Key')
  const storedKey = createHash('sha256').update(clientKey).digest()
  const clientSignature = hmac(storedKey, authMessage)
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (clientSignature[index] ?? 0)))
  const serverSignature = hmac(hmac(salted, 'Server Key'), authMessage)
  return {proof, serverSignature}
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function verifyServerFinal(message: string, expected: Buffer): void {
  if (message.startsWith('e=')) throw untrusted('a SCRAM error instead of its signature')
  const given = Buffer.from(/^v=([A-Za-z0-9+/]+={0,2})(?:,|$)/.exec(message)?.[1] ?? '', 'base64')
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new PosternError('UNTRUSTED', 'The database server did not prove that it knows the password.', {
      hint: 'Something may be answering in the place of the database server. Check its address and its certificate.',
    })
  }
}

/** RFC 4013 §2.1 and §2.2: spaces beyond ASCII become spaces (C.1.2), invisible characters vanish (B.1), then NFKC. */
function saslPrep(password: string): string {
  return password
    .replace(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g, ' ')
    .replace(/\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/g, '')
    .normalize('NFKC')
}

function untrusted(what: string): PosternError {
  return new PosternError('UNTRUSTED', `The database server sent ${what}.`)
}
