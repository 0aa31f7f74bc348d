/** Who sent an API request: its signature, its age, and whose key made it. */
import {Fault} from './fault.js'
import type {Principal} from './principal.js'
import {findKeyHolder} from './sessions.js'
import {isSignedWith, parseTimestamp, type SignatureClaim, type SignedRequest} from './sigv4.js'
import type {World} from './world.js'

const toleranceMinutes = 5
const tolerance = toleranceMinutes * 60_000
const longestPresigned = 7 * 86_400

const compact = (time: number): string => new Date(time).toISOString().replace(/[-:]|\.\d{3}/g, '')

/**
 * The principal behind a signed request.
 * @throws Fault InvalidClientTokenId, ExpiredToken, SignatureDoesNotMatch, RequestExpired
 */
export function authenticate(world: World, request: SignedRequest, claim: SignatureClaim): Principal {
  const {principal, secretKey} = findKeyHolder(world, claim)
  checkAge(claim, world.now())
  if (!isSignedWith(request, claim, secretKey)) {
    throw mismatch(
      'The request signature we calculated does not match the signature you provided. ' +
        'Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    )
  }
  return principal
}

function checkAge({timestamp, expiresIn}: SignatureClaim, now: number): void {
  const signed = parseTimestamp(timestamp) ?? 0
  if (signed > now + tolerance) {
    const latest = `${compact(now + tolerance)} (${compact(now)} + ${toleranceMinutes} min.)`
    throw mismatch(`Signature not yet current: ${timestamp} is still later than ${latest}`)
  }
  if (expiresIn !== undefined) {
    if (expiresIn <= longestPresigned && now <= signed + expiresIn * 1000) return
    throw new Fault('RequestExpired', 400, 'Request has expired.')
  }
  if (signed < now - tolerance) {
    const earliest = `${compact(now - tolerance)} (${compact(now)} - ${toleranceMinutes} min.)`
    throw mismatch(`Signature expired: ${timestamp} is now earlier than ${earliest}`)
  }
}

const mismatch = (message: string): Fault => new Fault('SignatureDoesNotMatch', 403, message)
