import {Console} from 'node:console'
import {PassThrough} from 'node:stream'
import {format, inspect} from 'node:util'
import {describe, expect, it} from '@jest/globals'
import {Secret} from '../../../src/lib/core/secret.js'

const value = 'correct-horse'
const secret = new Secret(value)

function consoleOutput(): string {
  const output = new PassThrough()
  const console = new Console(output)
  console.log(secret)
  console.log('%s %o %O %j', secret, secret, secret, secret)
  console.dir({secret}, {depth: null, showHidden: true})
  console.table([{secret}])
  return String(output.read())
}

describe('Secret', () => {
  it.each<[string, () => string]>([
    ['a template', () => String(secret)],
    ['concatenation', () => 'the password is ' + String(secret)],
    ['JSON', () => JSON.stringify({deep: [secret]})],
    ['util.inspect', () => inspect({deep: [secret]}, {depth: null, showHidden: true})],
    ['util.inspect without custom inspectors', () => inspect(secret, {customInspect: false, showHidden: true})],
    ['util.format', () => format('%s %d %i %o %O %j', secret, secret, secret, secret, secret, secret)],
    ['console', consoleOutput],
    ['an error that carries it', () => inspect(Object.assign(new Error('no'), {secret}))],
    ['its own keys', () => Reflect.ownKeys(secret).map(String).join()],
    ['a spread', () => JSON.stringify(Object.assign({}, secret))],
    ['a structured clone', () => inspect(structuredClone(secret))],
  ])('is not shown by %s', (_, show) => {
    expect(show()).not.toContain(value)
  })

  it('gives its value to whoever asks for it by name', () => {
    expect(secret.reveal()).toBe(value)
  })
})
