import type {Secret} from '../core/secret.js'

/** A certificate with its key, ready for TLS. */
export interface Credentials {
  /** PEM, leaf first. */
  readonly certificate: string
  readonly privateKey: Secret
}
