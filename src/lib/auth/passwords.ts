import {randomBytes, scrypt, timingSafeEqual} from 'node:crypto'
import {PosternError} from '../core/errors.js'

/** A password as it is stored, with the parameters that made it. */
export interface PasswordRecord {
  readonly algorithm: 'scrypt'
  readonly cost: number
  readonly blockSize: number
  readonly parallelization: number
  /** Base64. */
  readonly salt: string
  readonly hash: string
}

/** With this cost 32 MiB and three passes, as OWASP's Password Storage Cheat Sheet advises for scrypt. */
const advisedCost = 2 ** 15
const parameters = {algorithm: 'scrypt', blockSize: 8, parallelization: 3} as const
const saltBytes = 16
const hashBytes = 32

export const minimumPasswordLength = 12

/** Each takes a thread of Node's small pool, which files and names need as well. */
const maximumRunning = 2
const maximumWaiting = 64

/** @throws PosternError INVALID when the password is too short */
export function checkNewPassword(password: string): void {
  if (normalize(password).length < minimumPasswordLength) {
    throw new PosternError('INVALID', `The password is shorter than ${minimumPasswordLength} characters.`, {
      hint: 'Several words are easier to remember and harder to guess.',
    })
  }
}

/** Makes and checks password records, a few at a time. */
export class Passwords {
  #running = 0
  readonly #waiting: (() => void)[] = []
  readonly #cost: number
  /** What the password of someone unknown is compared with, so that the answer takes as long. */
  readonly #nobody: PasswordRecord

  /** `cost` is that of new records, a power of two. */
  constructor(cost = advisedCost) {
    this.#cost = cost
    this.#nobody = this.#emptyRecord()
  }

  /** @throws PosternError TOO_MANY_REQUESTS */
  async hash(password: string): Promise<PasswordRecord> {
    const record = this.#emptyRecord()
    return {...record, hash: (await this.#derive(password, record)).toString('base64')}
  }

  /** Whether the password is the one of the record; without a record never, after the same time. @throws as hash */
  async verify(password: string, record: PasswordRecord | undefined): Promise<boolean> {
    const derived = await this.#derive(password, record ?? this.#nobody)
    const expected = Buffer.from(record?.hash ?? '', 'base64')
    return expected.length === derived.length && timingSafeEqual(expected, derived)
  }

  #emptyRecord(): PasswordRecord {
    return {...parameters, cost: this.#cost, salt: randomBytes(saltBytes).toString('base64'), hash: ''}
  }

  async #derive(password: string, {salt, cost, blockSize, parallelization}: PasswordRecord): Promise<Buffer> {
    await this.#enter()
    try {
      return await new Promise((resolve, reject) => {
        const options = {cost, blockSize, parallelization, maxmem: 256 * cost * blockSize}
        scrypt(normalize(password), Buffer.from(salt, 'base64'), hashBytes, options, (error, key) => {
          if (error) reject(error)
          else resolve(key)
        })
      })
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }

  async #enter(): Promise<void> {
    if (this.#running >= maximumRunning) {
      if (this.#waiting.length >= maximumWaiting) {
        throw new PosternError('TOO_MANY_REQUESTS', 'Too many passwords are being checked at the moment.', {
          hint: 'Try again in a few seconds.',
        })
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    this.#running++
  }
}

/** The same characters typed on different systems can come as different code points. */
function normalize(password: string): string {
  return password.normalize('NFKC')
}
