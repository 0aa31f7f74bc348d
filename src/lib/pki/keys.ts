import {createPrivateKey, createPublicKey, generateKeyPair} from 'node:crypto'
import {promisify} from 'node:util'
import {PosternError} from '../core/errors.js'
import {Secret} from '../core/secret.js'

export interface KeyPair {
  /** PKCS #8, PEM. */
  readonly privateKey: Secret
  /** SubjectPublicKeyInfo, PEM. */
  readonly publicKey: string
}

const generate = promisify(generateKeyPair)

/** A new ECDSA P-256 pair. Keys are made where they are used and never travel. */
export async function generateKeys(): Promise<KeyPair> {
  const {privateKey, publicKey} = await generate('ec', {namedCurve: 'P-256'})
  return {
    privateKey: new Secret(privateKey.export({type: 'pkcs8', format: 'pem'}).toString()),
    publicKey: publicKey.export({type: 'spki', format: 'pem'}).toString(),
  }
}

/** The public half of a private key, as PEM. */
export function publicKeyOf(privateKey: Secret): string {
  return createPublicKey(createPrivateKey(privateKey.reveal())).export({type: 'spki', format: 'pem'}).toString()
}

const maximumPublicKeyBytes = 4096

/**
 * Checks a public key that came from the network and returns it as canonical PEM.
 * @throws PosternError INVALID when it is not an ECDSA P-256 or P-384, Ed25519, or RSA key of at least 2048 bits.
 */
export function readPublicKey(pem: string): string {
  const invalid = (cause?: unknown): PosternError =>
    new PosternError('INVALID', 'The public key in the request is not an ECDSA, Ed25519 or RSA key in PEM.', {cause})
  if (pem.length > maximumPublicKeyBytes || !pem.includes('BEGIN PUBLIC KEY')) throw invalid()
  try {
    const key = createPublicKey(pem)
    const details = key.asymmetricKeyDetails ?? {}
    const strong =
      (key.asymmetricKeyType === 'ec' && ['prime256v1', 'secp384r1'].includes(details.namedCurve ?? '')) ||
      key.asymmetricKeyType === 'ed25519' ||
      (key.asymmetricKeyType === 'rsa' && (details.modulusLength ?? 0) >= 2048)
    if (!strong) throw invalid()
    return key.export({type: 'spki', format: 'pem'}).toString()
  } catch (error) {
    throw error instanceof PosternError ? error : invalid(error)
  }
}
