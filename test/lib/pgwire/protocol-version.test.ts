import {expect, it} from '@jest/globals'
import {
  decodeNegotiateProtocolVersion,
  encodeNegotiateProtocolVersion,
  negotiateProtocol,
} from '../../../src/lib/pgwire/protocol-version.js'

const payloadOf = (message: Buffer): {payload: Buffer; size: number} => ({
  payload: message.subarray(5),
  size: message.length - 5,
})

it.each([0, 1, 2])('a client that asks for 3.%d gets it without a word', (minor) => {
  expect(negotiateProtocol({minor, protocolOptions: []})).toEqual({minor})
})

it('a client that asks for more is told 3.2', () => {
  const {minor, answer} = negotiateProtocol({minor: 9999, protocolOptions: ['_pq_.test_protocol_negotiation']})
  expect(minor).toBe(2)
  expect(answer?.toString('latin1')).toBe('v\0\0\0\x2b\0\x03\0\x02\0\0\0\x01_pq_.test_protocol_negotiation\0')
})

it('a client of 3.0 that asks for an extension keeps 3.0 and is told that the extension is unknown', () => {
  const {minor, answer} = negotiateProtocol({minor: 0, protocolOptions: ['_pq_.foo']})
  expect(minor).toBe(0)
  expect(answer && decodeNegotiateProtocolVersion(payloadOf(answer))).toEqual({minor: 0, unknownOptions: ['_pq_.foo']})
})

it('an extension that is to go unheard is left out of the answer, and makes none by itself', () => {
  const unheard = ['_pq_.compression']
  expect(negotiateProtocol({minor: 0, protocolOptions: unheard}, unheard)).toEqual({minor: 0})
  const {answer} = negotiateProtocol({minor: 0, protocolOptions: ['_pq_.foo', ...unheard]}, unheard)
  expect(answer && decodeNegotiateProtocolVersion(payloadOf(answer))).toEqual({minor: 0, unknownOptions: ['_pq_.foo']})
})

it('an offer that lies about its count, or is for another major version, is none', () => {
  const message = encodeNegotiateProtocolVersion({minor: 0, unknownOptions: ['a']})
  const more = Buffer.from(message)
  more.writeUInt32BE(0xffff_ffff, 9)
  expect(decodeNegotiateProtocolVersion(payloadOf(more))).toBeUndefined()
  const other = Buffer.from(message)
  other.writeUInt16BE(4, 5)
  expect(decodeNegotiateProtocolVersion(payloadOf(other))).toBeUndefined()
})
