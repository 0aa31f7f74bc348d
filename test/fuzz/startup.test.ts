/** The first bytes of strangers: startup messages, requests for encryption, `options`, ClientHellos. */
import {isDeepStrictEqual} from 'node:util'
import type {TLSSocket} from 'node:tls'
import {describe} from '@jest/globals'
import fc from 'fast-check'
import {readOpening} from '../../src/lib/agent/first-packet.js'
import {PosternError} from '../../src/lib/core/errors.js'
import {encodeStartup, gssencRequest, readFirstPacket} from '../../src/lib/pgwire/first-packet.js'
import {parseOptions, readStartupSettings} from '../../src/lib/pgwire/startup-options.js'
import {readClientHello} from '../../src/lib/tunnel/client-hello.js'
import {openSocketPair} from '../lib/pgwire/socket-pair.js'
import {captureClientHello, closeOpened} from '../lib/tunnel/sockets.js'
import {applyChanges, changes, cuts, fuzz, prototypeIsClean, segments} from './bounded.js'
import {firstPackets} from './cases.js'
import {firstPacket} from './messages.js'

const changedPacket = fc.tuple(firstPacket, changes).map(([bytes, list]) => applyChanges(bytes, list))

describe('a first packet', () => {
  fuzz(
    'startup',
    'says the same however many of its bytes are there: "incomplete" until it is known, and never anything else later',
    fc.property(changedPacket, (bytes) => {
      const whole = readFirstPacket(bytes)
      for (let length = 0; length < bytes.length; length += 1) {
        const part = readFirstPacket(bytes.subarray(0, length))
        if (part.kind !== 'incomplete' && !isDeepStrictEqual(part, whole)) return false
      }
      return prototypeIsClean() && (whole.kind !== 'startup' || whole.message.user !== '')
    }),
    firstPackets.map((bytes) => [bytes]),
  )

  fuzz(
    'startup',
    'that is a startup message has the parameters that were written into it',
    fc.property(
      fc.uniqueArray(fc.tuple(fc.string({minLength: 1, maxLength: 20}), fc.string({maxLength: 40})), {
        selector: ([key]) => key,
        maxLength: 8,
      }),
      fc.nat(65_535),
      (pairs, minor) => {
        const clean = pairs.filter(([key, value]) => !(key + value).includes('\0') && isText(key) && isText(value))
        const parameters = new Map([['user', 'alice'], ...clean])
        const read = readFirstPacket(encodeStartup(minor, parameters))
        if (read.kind !== 'startup') return parameters.get('user') === '' && read.kind === 'invalid'
        const own = [...parameters].filter(([key]) => !key.startsWith('_pq_.'))
        const options = [...parameters.keys()].filter((key) => key.startsWith('_pq_.'))
        const {message} = read
        return (
          message.minor === minor &&
          isDeepStrictEqual([...message.parameters], own) &&
          isDeepStrictEqual(message.protocolOptions, options)
        )
      },
    ),
    [[[['__proto__', 'polluted']], 0]],
  )

  fuzz(
    'startup',
    'in any segments, behind a request for GSSAPI or not, is read as it stands, and what follows stays in the connection',
    fc.asyncProperty(changedPacket, cuts, fc.boolean(), async (packet, places, gss) => {
      const following = Buffer.from('what follows')
      const bytes = Buffer.concat([...(gss ? [gssencRequest] : []), packet, following])
      const pair = await openSocketPair()
      try {
        // Its end comes too: nothing may wait for a message that cannot come.
        for (const piece of segments(bytes, places)) pair.client.write(piece)
        pair.client.end()
        const first = readFirstPacket(Buffer.concat([packet, following]))
        const opening = await readOpening(pair.server as unknown as TLSSocket, 120_000).catch((error: unknown) => {
          if (error instanceof PosternError) return undefined
          throw error
        })
        if (first.kind === 'invalid') return isDeepStrictEqual(opening, first)
        if (first.kind !== 'startup' && first.kind !== 'cancel') return true
        const rest = Buffer.concat((await pair.server.toArray()) as Buffer[])
        return isDeepStrictEqual(opening, first) && rest.equals(Buffer.concat([packet, following]).subarray(first.size))
      } finally {
        pair.close()
      }
    }),
    firstPackets.map((bytes) => [bytes, [0.3], false]),
  )
})

fuzz(
  'options',
  'options are split as PostgreSQL splits them, or refused',
  fc.property(optionsText(), (text) => {
    const read = parseOptions(text)
    const words = pgSplitOptions(text)
    if (!read.ok) return isRefused(text, words)
    return isDeepStrictEqual(read.settings, settingsOf(words)) && readStartupSettings(new Map([['options', text]])).ok
  }),
  [
    '-c=',
    '-c a',
    '--',
    '-c a=b\\',
    '-c a=b\\ c --d-e=f\\\\',
    '-c\\ a=b',
    '-ca=b\v-c',
    ' '.repeat(5000),
    '-c a=b '.repeat(1200),
  ].map((text) => [text]),
)

const hello = await captureClientHello({servername: 'orders.db.example.com', ALPNProtocols: ['postgresql']})
closeOpened()

fuzz(
  'more',
  'a ClientHello, changed and cut anywhere, is read, refused or waited for, and says the same once it is whole',
  fc.property(changes, fc.double({min: 0, max: 1, noNaN: true}), (list, share) => {
    const bytes = applyChanges(hello, list)
    const whole = readClientHello(bytes)
    const part = readClientHello(bytes.subarray(0, Math.floor(share * bytes.length)))
    if (part.kind === 'incomplete') return part.needs > Math.floor(share * bytes.length)
    return isDeepStrictEqual(part, whole)
  }),
)

function isText(text: string): boolean {
  return Buffer.from(text, 'utf8').toString('utf8') === text
}

function optionsText(): fc.Arbitrary<string> {
  const piece = fc.oneof(
    fc.constantFrom(
      '-c',
      '--',
      '=',
      ' ',
      '\t',
      '\v',
      '\\',
      '\\ ',
      'role',
      'a',
      'search_path',
      '-',
      '_',
      'A',
      '\u0085',
      'é',
      '-d',
    ),
    fc.string({maxLength: 5}),
  )
  return fc.array(piece, {maxLength: 30}).map((pieces) => pieces.join('').replaceAll('\0', ''))
}

/** pg_split_opts of PostgreSQL's utils/init/postinit.c, step by step as it stands there. */
function pgSplitOptions(text: string): string[] {
  const isSpace = (character: string | undefined): boolean =>
    character !== undefined && ' \t\n\v\f\r'.includes(character)
  const words: string[] = []
  let at = 0
  while (at < text.length) {
    let lastWasEscape = false
    let word = ''
    while (isSpace(text[at])) at += 1
    if (at >= text.length) break
    while (at < text.length) {
      const character = text[at] ?? ''
      if (isSpace(character) && !lastWasEscape) break
      if (!lastWasEscape && character === '\\') lastWasEscape = true
      else {
        lastWasEscape = false
        word += character
      }
      at += 1
    }
    words.push(word)
  }
  return words
}

/** getopt("c:-:") of process_postgres_switches, for nothing but settings; undefined for anything else. */
function assignments(words: readonly string[]): string[] | undefined {
  const found: string[] = []
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? ''
    if (word === '-c') {
      index += 1
      const next = words[index]
      if (next === undefined) return undefined
      found.push(next)
    } else if (word.startsWith('-c') || word.startsWith('--')) found.push(word.slice(2))
    else return undefined
  }
  return found
}

function settingsOf(words: readonly string[]): unknown {
  return assignments(words)?.map((text) => {
    const equals = text.indexOf('=')
    const name = text.slice(0, equals).replaceAll('-', '_')
    return {name: name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()), value: text.slice(equals + 1)}
  })
}

/** Refusing is right where the server would refuse, and where characters beyond ASCII could be split otherwise. */
function isRefused(text: string, words: readonly string[]): boolean {
  const found = assignments(words)
  return !found || found.some((each) => each.indexOf('=') < 1) || /[^\0-\x7f]/.test(text)
}
