import {createHash, X509Certificate} from 'node:crypto'
import {PosternError} from '../core/errors.js'

const pinForm = /^sha256:[0-9a-f]{64}$/

/** `sha256:` and the hex SHA-256 of the DER SubjectPublicKeyInfo of a PEM certificate. */
export function pinOf(certificate: string): string {
  const key = new X509Certificate(certificate).publicKey.export({type: 'spki', format: 'der'})
  return `sha256:${createHash('sha256').update(key).digest('hex')}`
}

/** @throws PosternError INVALID when the text is not a pin. */
export function checkPinForm(pin: string): void {
  if (!pinForm.test(pin)) {
    throw new PosternError('INVALID', `"${pin}" is not a CA pin.`, {
      hint: 'A pin is sha256: and 64 hex digits; `postern status` prints it on the control plane.',
    })
  }
}

/**
 * The certificates whose pin is in the list, each written anew: a PEM text can hold more certificates than the one
 * that was pinned, and TLS would trust them all.
 * @throws PosternError UNTRUSTED when none is.
 */
export function pinnedCertificates(certificates: readonly string[], pins: readonly string[]): string[] {
  for (const pin of pins) checkPinForm(pin)
  const matching = certificates.flatMap((text) => {
    const certificate = readCertificate(text)
    return certificate && pins.includes(pinOf(certificate)) ? [certificate] : []
  })
  if (matching.length === 0) {
    throw new PosternError('UNTRUSTED', 'The cluster shows another host CA than the one that was pinned.', {
      hint: [
        'Run `postern status` on the control plane and compare the CA pin.',
        'If they differ, something between here and the cluster may be impersonating it.',
      ],
    })
  }
  return matching
}

/** The first certificate in a text, as PEM of its own. */
function readCertificate(text: string): string | undefined {
  try {
    return new X509Certificate(text).toString()
  } catch {
    return undefined
  }
}
