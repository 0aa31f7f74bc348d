import {expect, it} from '@jest/globals'
import {parseConnectAddresses} from '../../../src/lib/config/connect-addresses.js'

it('POSTERN_RESOLVE says where to dial instead of endpoints, in any case of letters', () => {
  const addresses = parseConnectAddresses('One.example.com:5432=127.0.0.1:6001, two.example.com:5439=[::1]:6002')
  expect([...addresses]).toEqual([
    ['one.example.com:5432', {host: '127.0.0.1', port: 6001}],
    ['two.example.com:5439', {host: '::1', port: 6002}],
  ])
})

it('without it nothing is elsewhere', () => {
  expect(parseConnectAddresses(undefined).size).toBe(0)
  expect(parseConnectAddresses('').size).toBe(0)
})

it.each(['one.example.com', 'one.example.com:5432', 'one:1=two', 'one:1=two:2=three:3', 'one:0=two:2', '=:1'])(
  'something else is refused: %s',
  (text) => {
    expect(() => parseConnectAddresses(text)).toThrow('which is not endpoint:port=address:port')
  },
)
