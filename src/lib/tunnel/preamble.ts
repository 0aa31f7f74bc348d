import {randomBytes} from 'node:crypto'

/** `POSTERN/1 <proxy>.<worker>.<nonce>\n`: how an agent's data connection says which order it answers. */
export interface Preamble {
  readonly proxy: string
  readonly worker: string
  readonly nonce: string
}

export type PreambleReading =
  | {readonly kind: 'incomplete'}
  | {readonly kind: 'invalid'; readonly reason: string}
  | (Preamble & {
      readonly kind: 'preamble'
      /** Bytes it took. */
      readonly length: number
    })

const start = 'POSTERN/1 '
const line = /^POSTERN\/1 ([A-Za-z0-9-]{1,64})\.(\d{1,5})\.([0-9a-f]{32})\n/
const maximumBytes = start.length + 64 + 1 + 5 + 1 + 32 + 1

/** Where a data connection belongs: `<proxy>.<worker>`. */
export const placeForm = /^[A-Za-z0-9-]{1,64}\.\d{1,5}$/
export const nonceForm = /^[0-9a-f]{32}$/

/** 128 random bits in hex, for one data connection. */
export function newNonce(): string {
  return randomBytes(16).toString('hex')
}

export function formatPreamble(place: string, nonce: string): string {
  return `${start}${place}.${nonce}\n`
}

/** The preamble at the start of a connection. */
export function readPreamble(bytes: Buffer): PreambleReading {
  const text = bytes.toString('latin1', 0, maximumBytes)
  const match = line.exec(text)
  if (match) {
    const [whole, proxy = '', worker = '', nonce = ''] = match
    return {kind: 'preamble', proxy, worker, nonce, length: whole.length}
  }
  const possible = text.length < maximumBytes && !text.includes('\n') && text.startsWith(start.slice(0, text.length))
  return possible ? {kind: 'incomplete'} : {kind: 'invalid', reason: 'the preamble is malformed'}
}
