import {PosternError} from '../core/errors.js'
import type {AuditEvent} from './event.js'
import {parseHead, readLines, type RecordingHead} from './recording.js'
import {beginChain, digestOf, extendChain, firstDifference, isSeal, isSigned, parseSeal} from './seal.js'
import type {Seal, SealKeys, Vouched} from './seal.js'

/** Where a recording is no longer what was sealed. */
export interface BrokenLink {
  /** Line of the file, from 1. */
  readonly line: number
  /** `ei` of the record that it is about, where it is about one. */
  readonly ei?: number | undefined
  /** One sentence. */
  readonly problem: string
}

export interface RecordingVerdict {
  readonly head: RecordingHead
  readonly records: number
  /** What the last seal vouches for. */
  readonly sealed: Vouched
  readonly start: AuditEvent | undefined
  readonly end: AuditEvent | undefined
  /** The first one; undefined when all hold. */
  readonly broken: BrokenLink | undefined
}

interface VerifyOptions {
  readonly keys: SealKeys
  /** Sees each record in its order, as long as everything before it is whole. */
  readonly onRecord?: (record: AuditEvent) => Promise<BrokenLink['problem'] | undefined> | undefined
}

/**
 * Checks every link of a recording (audit/seal.ts), up to the first that is broken.
 * @throws PosternError INVALID when it is no recording
 */
export async function verifyRecording(
  chunks: AsyncIterable<Buffer>,
  {keys, onRecord}: VerifyOptions,
): Promise<RecordingVerdict> {
  const flaws: string[] = []
  let chain: Chain | undefined
  let number = 0
  for await (const line of readLines(chunks, (flaw) => flaws.push(flaw))) {
    number += 1
    if (!chain) chain = new Chain(line, keys)
    else if (isSeal(line)) chain.seal(line, number)
    else await chain.record(line, number, onRecord)
    if (chain.broken) break
  }
  if (!chain) throw new PosternError('INVALID', 'The recording is empty.')
  if (flaws[0] !== undefined) chain.break(number + 1, flaws[0])
  chain.finish()
  return chain.verdict()
}

class Chain {
  broken: BrokenLink | undefined
  readonly #head: RecordingHead
  readonly #keys: SealKeys
  #sealed: Vouched
  #unsealed: {readonly digest: Buffer; readonly ei: number; readonly line: number}[] = []
  #next = 0
  #start: AuditEvent | undefined
  #last: AuditEvent | undefined

  constructor(head: string, keys: SealKeys) {
    this.#head = parseHead(head)
    this.#keys = keys
    this.#sealed = beginChain(head)
  }

  async record(line: string, number: number, onRecord: VerifyOptions['onRecord']): Promise<void> {
    const record = parseRecord(line)
    if (!record) {
      this.break(number, 'The record is damaged.', this.#next)
      return
    }
    const ei = Number(record.ei)
    // The seal behind it may name more exactly what happened, unless there is none.
    this.#unsealed.push({digest: digestOf(line), ei, line: number})
    if (ei === this.#next) {
      this.#next += 1
      this.#start ??= record
      this.#last = record
      const problem = await onRecord?.(record)
      if (problem !== undefined) this.break(number, problem, ei)
    } else if (ei > this.#next) {
      const where = this.#next === 0 ? `Before the record ${ei}` : `Between the records ${this.#next - 1} and ${ei}`
      this.break(number, `${where} records are missing.`, this.#next)
    } else this.break(number, `The record ${ei} does not belong here.`, ei)
  }

  seal(line: string, number: number): void {
    const seal = parseSeal(line)
    const unsealed = this.#unsealed
    this.#unsealed = []
    if (!seal) {
      this.break(number, 'The seal is damaged.')
      return
    }
    const expected = extendChain(
      this.#sealed,
      unsealed.map(({digest}) => digest),
    )
    const different = firstDifference(
      seal,
      unsealed.map(({digest}) => digest),
    )
    if (different !== undefined) {
      const found = unsealed[different]
      const ei = found?.ei ?? this.#next
      const problem = found
        ? `The record ${ei} is not the one that was sealed.`
        : `The record ${ei} was sealed and is missing.`
      this.break(found?.line ?? number, problem, ei)
    } else this.#compare(seal, expected, number)
    this.#sealed = expected
  }

  #compare(seal: Seal, expected: Vouched, number: number): void {
    if (seal.seal !== expected.seal) this.break(number, `The seal ${expected.seal} is missing.`)
    else if (seal.link !== expected.link || seal.records !== expected.records)
      this.break(number, `The link of seal ${seal.seal} is broken: what it sealed is not what stands before it.`)
    else if (!this.#keys.has(seal.key)) this.break(number, `Seal ${seal.seal} is signed by a key that is not known.`)
    else if (!isSigned(seal, this.#keys)) this.break(number, `The signature of seal ${seal.seal} is not valid.`)
  }

  finish(): void {
    const [first] = this.#unsealed
    if (first) this.break(first.line, `From record ${first.ei} on nothing is sealed.`, first.ei)
  }

  break(line: number, problem: string, ei?: number): void {
    this.broken ??= {line, problem, ...(ei !== undefined && {ei})}
  }

  verdict(): RecordingVerdict {
    return {
      head: this.#head,
      records: this.#next,
      sealed: this.#sealed,
      start: this.#start,
      end: this.#last?.event === 'db.session.end' ? this.#last : undefined,
      broken: this.broken,
    }
  }
}

function parseRecord(line: string): AuditEvent | undefined {
  try {
    const record: unknown = JSON.parse(line)
    return typeof record === 'object' && record !== null && 'ei' in record ? record : undefined
  } catch {
    return undefined
  }
}
