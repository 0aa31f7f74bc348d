import {authorityTypes, type AuthorityType} from '../api/responses.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import {Secret} from '../core/secret.js'
import {createAuthority, type Authority} from '../pki/issuing.js'
import {pinOf} from '../pki/pin.js'
import type {Backend} from '../storage/backend.js'
import {Records} from './records.js'

interface AuthorityRecord {
  readonly certificate: string
  readonly privateKey: string
}

/** The four authorities of the cluster. One never does another's job. */
export class Authorities {
  readonly #authorities: ReadonlyMap<AuthorityType, Authority>

  private constructor(authorities: ReadonlyMap<AuthorityType, Authority>) {
    this.#authorities = authorities
  }

  /** Those in the storage; what is missing is made. */
  static async load(backend: Backend, cluster: string, clock: Clock): Promise<Authorities> {
    const records = new Records<AuthorityRecord>(backend, 'authority/')
    const found = new Map<AuthorityType, Authority>()
    for (const type of authorityTypes) {
      let record = (await records.get(type))?.value
      if (!record) {
        const made = await createAuthority({cluster, type, now: clock.now()})
        record = {certificate: made.certificate, privateKey: made.privateKey.reveal()}
        await records.create(type, record)
      }
      found.set(type, {certificate: record.certificate, privateKey: new Secret(record.privateKey)})
    }
    return new Authorities(found)
  }

  signing(type: AuthorityType): Authority {
    const authority = this.#authorities.get(type)
    if (!authority) throw new PosternError('INTERNAL', `There is no authority "${type}".`)
    return authority
  }

  /** PEM certificates that a relying party trusts. */
  trusted(type: AuthorityType): readonly string[] {
    return [this.signing(type).certificate]
  }

  /** What clients compare the host CA with at their first contact. */
  pins(): readonly string[] {
    return this.trusted('host').map(pinOf)
  }
}
