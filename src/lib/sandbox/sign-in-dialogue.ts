/** Asks a client for its password in one of the ways that PostgreSQL has (documentation, "Message Formats", Authentication…). */
import {randomBytes} from 'node:crypto'
import type {Duplex} from 'node:stream'
import {Secret} from '../core/secret.js'
import {readExactly} from '../pgwire/exact-read.js'
import {md5Password} from '../pgwire/md5-password.js'
import {cstring, encodeMessage, endOfList, int32} from '../pgwire/message.js'
import {backend, frontend} from '../pgwire/message-types.js'
import {answerScram, defaultIterations, type ScramVerifier} from './scram-verifier.js'

const codes = {cleartext: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12} as const
const mechanism = 'SCRAM-SHA-256'
const saltBytes = 4
const headerBytes = 5
/** Twice what the longest tokens have. */
const longestAnswer = 131_072

export class SignInDialogue {
  readonly #socket: Duplex

  constructor(socket: Duplex) {
    this.#socket = socket
  }

  /** The password as it is; undefined when the client sends something else. */
  async cleartext(): Promise<Secret | undefined> {
    this.#ask(codes.cleartext)
    const answer = await this.#read()
    return answer && new Secret(answer.toString('utf8').replace(/\0$/, ''))
  }

  /** Which of the passwords the client has; undefined for none. */
  async md5<T extends {readonly password: Secret}>(user: string, candidates: readonly T[]): Promise<T | undefined> {
    const salt = randomBytes(saltBytes)
    this.#ask(codes.md5, salt)
    const answer = (await this.#read())?.toString('utf8').replace(/\0$/, '')
    return candidates.find(({password}) => md5Password(user, password, salt) === answer)
  }

  /** Whether the client proves that it has the password; without a verifier it never does, and cannot tell why. */
  async scram(known: ScramVerifier | undefined): Promise<boolean> {
    const verifier = known ?? unknownUser()
    this.#ask(codes.sasl, cstring(mechanism), endOfList)
    const initial = readInitial(await this.#read())
    const exchange = initial === undefined ? undefined : answerScram(initial, verifier)
    if (!exchange) return false
    this.#ask(codes.saslContinue, Buffer.from(exchange.challenge))
    const proof = exchange.finish((await this.#read())?.toString('utf8') ?? '')
    if (proof === undefined) return false
    this.#ask(codes.saslFinal, Buffer.from(proof))
    return true
  }

  #ask(code: number, ...parts: readonly Buffer[]): void {
    this.#socket.write(encodeMessage(backend.authentication, int32(code), ...parts))
  }

  /** The payload of the client's answer. */
  async #read(): Promise<Buffer | undefined> {
    const header = await readExactly(this.#socket, headerBytes)
    const size = header.readUInt32BE(1) - 4
    if (header.readUInt8(0) !== frontend.password || size < 0 || size > longestAnswer) return undefined
    return readExactly(this.#socket, size)
  }
}

/** The client's first message inside SASLInitialResponse: mechanism, Int32 length, data. */
function readInitial(payload: Buffer | undefined): string | undefined {
  const prefix = cstring(mechanism)
  if (!payload?.subarray(0, prefix.length).equals(prefix)) return undefined
  return payload.subarray(prefix.length + 4).toString('utf8')
}

const keyBytes = 32
const scramSaltBytes = 16

/** A verifier that no password fits. */
function unknownUser(): ScramVerifier {
  const [storedKey, serverKey] = [randomBytes(keyBytes), randomBytes(keyBytes)]
  return {iterations: defaultIterations, salt: randomBytes(scramSaltBytes), storedKey, serverKey}
}
