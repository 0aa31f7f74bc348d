import type {Statement} from '../audit/statement.js'
import type {ClientEncoding} from '../pgwire/client-encoding.js'
import type {Pipeline} from './pipeline.js'
import {Portal, Prepared, type Subject} from './prepared.js'

const uncertainName =
  'The client changed its encoding while requests were under way with names that another encoding makes others.'

/**
 * By which encoding the server reads what a client sends. It reads all that was sent behind the request it works on by another
 * one when that changes the encoding, so what was read here meanwhile is read again when its turn comes.
 */
export class ClientTexts {
  readonly #pipeline: Pipeline<unknown, Subject>
  #encoding: ClientEncoding
  /** It was changed at least once. */
  #changed = false
  /** Place in the pipeline of the last request behind another with a name that is not the same in every encoding. */
  #uncertainName = -1
  #uncertainty: string | undefined

  constructor(pipeline: Pipeline<unknown, Subject>, encoding: ClientEncoding) {
    this.#pipeline = pipeline
    this.#encoding = encoding
  }

  get encoding(): ClientEncoding {
    return this.#encoding
  }

  /** Why nobody can say which names a request meant, in one sentence. */
  get uncertainty(): string | undefined {
    return this.#uncertainty
  }

  /** The server says that it reads by another one: when it does, or before its next ReadyForQuery. */
  readAs(encoding: ClientEncoding): void {
    if (encoding === this.#encoding) return
    this.#encoding = encoding
    this.#changed = true
    const {subject, answered} = this.#pipeline
    if (isRereadable(subject)) subject.reread = undefined
    if (this.#uncertainName > answered) this.#uncertainty = uncertainName
  }

  /** The server has come to what is next in order. @returns the statement, if it reads otherwise now */
  reread(): Statement | undefined {
    const {subject} = this.#pipeline
    if (!isRereadable(subject) || subject.reread === undefined) return undefined
    const {reread} = subject
    subject.reread = undefined
    if (!this.#changed) return undefined
    if (subject instanceof Prepared) {
      subject.sql = reread()
      return undefined
    }
    subject.subject = reread()
    return subject
  }

  /** The client has sent a request with this name, which goes to the end of the pipeline. */
  nameSent(name: string): void {
    const isAscii = name === '' || Buffer.byteLength(name) === name.length
    if (!isAscii && this.#pipeline.length > 0) this.#uncertainName = this.#pipeline.pushed
  }
}

function isRereadable(subject: Subject): subject is Statement | Prepared {
  return subject !== undefined && !(subject instanceof Portal)
}
