import {createHash} from 'node:crypto'
import {describe, expect, it} from '@jest/globals'
import {ClientStream} from '../../../src/lib/pgwire/client-stream.js'
import {cstring, encodeMessage} from '../../../src/lib/pgwire/message.js'
import {frontend} from '../../../src/lib/pgwire/message-types.js'

const captureBytes = 64
const sql = `select '${'ä'.repeat(500)}'`
const hash = createHash('sha256').update(sql).digest('hex')
const twoZeros = Buffer.alloc(2)

function digests(bytes: Buffer, step: number): (string | undefined)[] {
  const stream = new ClientStream({captureBytes})
  const found: (string | undefined)[] = []
  for (let offset = 0; offset < bytes.length; offset += step) {
    found.push(...stream.read(bytes.subarray(offset, offset + step)).frames.map(({sqlSha256}) => sqlSha256))
  }
  return found
}

describe('the hash of SQL that is too long to be kept', () => {
  const query = encodeMessage(frontend.query, cstring(sql))
  const parse = encodeMessage(frontend.parse, cstring('a name'), cstring(sql), twoZeros)
  const short = encodeMessage(frontend.query, cstring('select 1'))
  const bind = encodeMessage(frontend.bind, cstring('p'.repeat(200)), cstring('s'), twoZeros, twoZeros, twoZeros)

  it.each([1, 7, 100, 100_000])('covers exactly the SQL of Query and Parse, in pieces of %i bytes', (step) => {
    expect(digests(Buffer.concat([query, parse, short, bind, query]), step)).toEqual([
      hash,
      hash,
      undefined,
      undefined,
      hash,
    ])
  })
})
