/** Answers a server's authentication requests, each only where the protocol allows it (PostgreSQL documentation, "Start-up", "SASL Authentication"). */
import {PosternError} from '../core/errors.js'
import type {Secret} from '../core/secret.js'
import type {AuthenticationRequest} from './authentication.js'
import {md5Password} from './md5-password.js'
import {cstring, encodeMessage, int32} from './message.js'
import {frontend} from './message-types.js'
import {scramMechanism, startScram, type ScramExchange, type ScramFinal} from './scram.js'

/** How to prove who we are. `password` takes whichever method the server asks for; `none` is for client certificates. */
export type AuthenticationMethod =
  {readonly kind: 'none'} | {readonly kind: 'cleartext' | 'md5' | 'scram' | 'password'; readonly password: Secret}

export interface AuthenticatorOptions {
  readonly user: string
  readonly method: AuthenticationMethod
  /** Whether the password may be sent as it is: only where TLS has verified the server. */
  readonly allowCleartext: boolean
}

/** Tokens of Redshift and RDS are long, some above 4 KiB; nobody's is above this. */
const longestPassword = 65_536

type Stage =
  | {readonly at: 'start' | 'answered' | 'proved' | 'done'}
  | {readonly at: 'challenge'; readonly exchange: ScramExchange}
  | {readonly at: 'signature'; readonly final: ScramFinal}

const methodNames = {cleartext: 'a password in clear', md5: 'an MD5 password', scram: scramMechanism} as const

export class Authenticator {
  readonly #options: AuthenticatorOptions
  #stage: Stage = {at: 'start'}

  /** @throws PosternError INVALID when the password can be none. */
  constructor(options: AuthenticatorOptions) {
    this.#options = options
    if (options.method.kind === 'none') return
    const password = options.method.password.reveal()
    if (password === '') throw new PosternError('INVALID', 'The password for the database server is empty.')
    if (Buffer.byteLength(password) > longestPassword || password.includes('\0')) {
      throw new PosternError('INVALID', 'The password for the database server is too long or holds a NUL character.')
    }
  }

  get done(): boolean {
    return this.#stage.at === 'done'
  }

  get untouched(): boolean {
    return this.#stage.at === 'start'
  }

  /**
   * The message to answer a request with; undefined when none is due.
   * @throws PosternError FAILED for a method that we may not use, UNTRUSTED for a request out of order.
   */
  async answer(request: AuthenticationRequest): Promise<Buffer | undefined> {
    const stage = this.#stage
    switch (request.kind) {
      case 'ok':
        this.#finish(stage)
        return undefined
      case 'cleartext':
        return this.#answerCleartext(stage)
      case 'md5': {
        const password = this.#begin(stage, 'md5')
        this.#stage = {at: 'answered'}
        return encodeMessage(frontend.password, cstring(md5Password(this.#options.user, password, request.salt)))
      }
      case 'sasl':
        return this.#answerSasl(stage, request.mechanisms)
      case 'sasl-continue': {
        if (stage.at !== 'challenge') throw outOfOrder()
        const final = await stage.exchange.respond(request.data)
        this.#stage = {at: 'signature', final}
        return encodeMessage(frontend.password, Buffer.from(final.final))
      }
      case 'sasl-final':
        if (stage.at !== 'signature') throw outOfOrder()
        stage.final.verify(request.data)
        this.#stage = {at: 'proved'}
        return undefined
      case 'unknown':
        throw unsupported(request.name)
    }
  }

  /** A server that cuts SCRAM short has not proved itself; one that never began it is refused where SCRAM was demanded. */
  #finish(stage: Stage): void {
    const mayEnd = stage.at === 'answered' || stage.at === 'proved'
    const mayTrust = stage.at === 'start' && this.#options.method.kind !== 'scram'
    if (!mayEnd && !mayTrust) throw outOfOrder()
    this.#stage = {at: 'done'}
  }

  #answerCleartext(stage: Stage): Buffer {
    const password = this.#begin(stage, 'cleartext')
    if (!this.#options.allowCleartext) {
      throw new PosternError(
        'FAILED',
        'The database server asks for the password in clear, but its TLS is not verified.',
        {
          hint: 'Turn on certificate verification for this database.',
        },
      )
    }
    this.#stage = {at: 'answered'}
    return encodeMessage(frontend.password, cstring(password.reveal()))
  }

  #answerSasl(stage: Stage, mechanisms: readonly string[]): Buffer {
    if (!mechanisms.includes(scramMechanism)) throw unsupported(mechanisms.join(', '))
    const exchange = startScram(this.#begin(stage, 'scram'))
    this.#stage = {at: 'challenge', exchange}
    const first = Buffer.from(exchange.first)
    return encodeMessage(frontend.password, cstring(scramMechanism), int32(first.length), first)
  }

  /** The password, if the method is one we may answer and the first one asked for. */
  #begin(stage: Stage, asked: keyof typeof methodNames): Secret {
    if (stage.at !== 'start') throw outOfOrder()
    const {method} = this.#options
    if (method.kind === 'none') {
      throw new PosternError(
        'FAILED',
        `The database server asks for ${methodNames[asked]}, but the sign-in there is by client certificate.`,
        {hint: 'In pg_hba.conf, put a "hostssl" line with method "cert" for this user before the others.'},
      )
    }
    if (method.kind !== 'password' && method.kind !== asked) {
      throw new PosternError(
        'FAILED',
        `The database server asks for ${methodNames[asked]}, but ${methodNames[method.kind]} was agreed for it.`,
      )
    }
    return method.password
  }
}

function outOfOrder(): PosternError {
  return new PosternError('UNTRUSTED', 'The database server sent its authentication messages out of order.')
}

function unsupported(name: string): PosternError {
  return new PosternError('FAILED', `The database server asks for ${printable(name)}, which Postern does not speak.`, {
    hint: 'Use a client certificate or scram-sha-256 for this user in pg_hba.conf.',
  })
}

/** A name chosen by the server, made fit for a sentence. */
function printable(name: string): string {
  const longest = 100
  return name.replace(/[^\x20-\x7e]/g, '?').slice(0, longest)
}
