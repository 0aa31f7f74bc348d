import {
  beginChain,
  digestOf,
  extendChain,
  formatSeal,
  isSeal,
  parseSeal,
  readSealKeys,
  SealingKey,
} from '../audit/seal.js'
import type {SealKeys, Vouched} from '../audit/seal.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import {Secret} from '../core/secret.js'
import type {Backend} from '../storage/backend.js'
import type {Sealer} from '../storage/recording-files.js'
import {Records} from './records.js'

/** The key with which the control plane vouches for what it has stored. No agent and no proxy ever sees it. */
export class Sealing implements Sealer<Vouched> {
  readonly key: SealingKey
  readonly #clock: Clock

  private constructor(key: SealingKey, clock: Clock) {
    this.key = key
    this.#clock = clock
  }

  /** The key in the storage; it is made when there is none. */
  static async load(backend: Backend, clock: Clock): Promise<Sealing> {
    const records = new Records<string>(backend, 'seal_key/')
    let pem = (await records.get('current'))?.value
    if (pem === undefined) {
      pem = SealingKey.generate().reveal()
      await records.create('current', pem)
    }
    return new Sealing(new SealingKey(new Secret(pem)), clock)
  }

  /** To check seals with. */
  get keys(): SealKeys {
    return readSealKeys([this.key.publicKey])
  }

  readonly isSeal = isSeal
  readonly begin = beginChain

  resume(line: string): Vouched {
    const seal = parseSeal(line)
    if (!seal) throw new PosternError('CONFLICT', 'A seal of the recording is damaged.')
    return {seal: seal.seal, records: seal.records, link: seal.link}
  }

  seal(state: Vouched, records: readonly string[]): {line: string; state: Vouched} {
    const digests = records.map(digestOf)
    const next = extendChain(state, digests)
    return {line: formatSeal(next, {digests, key: this.key, now: this.#clock.now()}), state: next}
  }
}
