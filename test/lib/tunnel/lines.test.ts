import {describe, expect, it} from '@jest/globals'
import {Lines} from '../../../src/lib/tunnel/lines.js'

const text = (lines: Buffer[] | undefined): string[] | undefined => lines?.map(String)

describe('Lines', () => {
  it('gives the same lines whole, split at every byte, and joined', () => {
    const bytes = Buffer.from('one\n\ntwo ü\nunfinished')
    const expected = ['one', '', 'two ü']
    expect(text(new Lines(100).push(bytes))).toEqual(expected)
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const lines = new Lines(100)
      const both = [...(lines.push(bytes.subarray(0, cut)) ?? []), ...(lines.push(bytes.subarray(cut)) ?? [])]
      expect(text(both)).toEqual(expected)
    }
    const single = new Lines(100)
    expect(text([...bytes].flatMap((byte) => single.push(Buffer.from([byte])) ?? []))).toEqual(expected)
  })

  it('takes lines up to the limit and refuses longer ones before their end', () => {
    expect(text(new Lines(3).push(Buffer.from('abc\nabc\nabc')))).toEqual(['abc', 'abc'])
    expect(new Lines(3).push(Buffer.from('abcd'))).toBeUndefined()
    expect(new Lines(3).push(Buffer.from('abcd\n'))).toBeUndefined()
    const lines = new Lines(3)
    expect(text(lines.push(Buffer.from('ab')))).toEqual([])
    expect(lines.push(Buffer.from('cd'))).toBeUndefined()
  })
})
