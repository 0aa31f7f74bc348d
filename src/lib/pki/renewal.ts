/** A host renews its certificate at half its life. */
const hostRenewalShare = 0.5
/** A user's database certificate is renewed this long before its end, so that a connection never starts with seconds left. */
const userRenewalMargin = 60_000

export interface Validity {
  /** Milliseconds since 1970. */
  readonly notBefore: number
  readonly notAfter: number
}

/** When a host should ask for its next certificate, in milliseconds since 1970. */
export function hostRenewalTime(validity: Validity): number {
  return validity.notBefore + (validity.notAfter - validity.notBefore) * hostRenewalShare
}

/** Whether a user's certificate is still good for a new connection. */
export function isFresh(notAfter: number, now: number): boolean {
  return notAfter - now > userRenewalMargin
}
