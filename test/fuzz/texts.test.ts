/** Texts that people and their files give: endpoints, server names, labels, patterns and templates of roles. */
import {isDeepStrictEqual} from 'node:util'
import fc from 'fast-check'
import {compileLabelRule} from '../../src/lib/access/label-rule.js'
import {compilePattern} from '../../src/lib/access/pattern.js'
import {compileSelector} from '../../src/lib/access/selector.js'
import {compileTemplate} from '../../src/lib/access/template.js'
import {PosternError} from '../../src/lib/core/errors.js'
import {formatLabels, parseLabels} from '../../src/lib/core/labels.js'
import {
  checkDatabaseName,
  classifyDatabase,
  detectEndpoint,
  formatAddress,
  parseAddress,
  suggestDatabaseName,
} from '../../src/lib/resources/endpoint.js'
import {parseRoute} from '../../src/lib/resources/route.js'
import {fuzz, prototypeIsClean} from './bounded.js'

/** What it gives, or undefined for a refusal with a sentence; anything else that is thrown is a defect. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (error instanceof PosternError && error.message !== '') return undefined
    throw error
  }
}

const assembled = (pieces: readonly string[]): fc.Arbitrary<string> =>
  fc
    .array(fc.oneof({weight: 4, arbitrary: fc.constantFrom(...pieces)}, fc.string({maxLength: 6})), {maxLength: 9})
    .map((parts) => parts.join(''))

const endpoints = assembled([
  ...[
    'aurora',
    'my-redshift',
    'proxy-',
    'cluster-',
    'cluster-ro-',
    'cluster-custom-',
    'endpoint.',
    'abcdefghijklm',
    '123456789012',
  ],
  ...[
    '.',
    ':',
    '5432',
    '5439',
    '[',
    ']',
    '::1',
    'us-west-1',
    'cn-north-1',
    '.rds',
    '.redshift',
    '.redshift-serverless',
  ],
  ...['.amazonaws.com', '.amazonaws.com.cn', '@', '/', '%2e', 'http://', ' ', '\0', '-', 'K'],
])

fuzz(
  'endpoints',
  'an endpoint is refused with a sentence, or printed and read again the same; its name suggests one that is valid',
  fc.property(endpoints, (text) => {
    const address = attempt(() => parseAddress(text, 5432))
    attempt(() => classifyDatabase({uri: text}))
    const detected = detectEndpoint(text)
    if (detected.type !== 'self-hosted' && !/\.amazonaws\.com(\.cn)?$/i.test(text)) return false
    const name = suggestDatabaseName(text)
    checkDatabaseName(name)
    return prototypeIsClean() && (!address || isDeepStrictEqual(parseAddress(formatAddress(address)), address))
  }),
  [
    ['aurora.abcdefghijklm.us-west-1.rds.amazonaws.com:5432'],
    ['postgres host=evil sslmode=disable'],
    ['postgresql://evil/x'],
    ['::'],
    ['[::]:0'],
  ],
)

fuzz(
  'more',
  'a server name leads to one route, whatever its case, and only below the cluster',
  fc.property(
    assembled(['orders', '.db.', '.agent.', 'example.com', 'auth.', 'tunnel.', '.', 'EXAMPLE.com', 'K', '\0']),
    (name) => {
      const route = parseRoute(name, 'example.com')
      const upper = parseRoute(
        name.replace(/[a-z]/g, (letter) => letter.toUpperCase()),
        'example.com',
      )
      const below = /\.example\.com$/i.test(name)
      return isDeepStrictEqual(route, upper) && (route.kind === 'web' || below)
    },
  ),
)

const labelKey = fc.string({minLength: 1, maxLength: 12}).filter((key) => /^[^\s=,"]+$/.test(key))
const labelValue = fc.string({maxLength: 12}).filter((value) => !/[,"]/.test(value) && value === value.trim())

fuzz(
  'more',
  'labels are refused with a sentence, or printed and read again the same',
  fc.property(
    assembled(['env', '=', 'prod', ',', '"', ' ', '*', '{{', '__proto__=x', '\\', '\n']),
    fc.dictionary(labelKey, labelValue, {maxKeys: 4}),
    (text, labels) => {
      attempt(() => parseLabels(text))
      const plain = Object.fromEntries(Object.entries(labels))
      return prototypeIsClean() && isDeepStrictEqual({...parseLabels(formatLabels(plain))}, {...plain})
    },
  ),
)

fuzz(
  'more',
  'patterns of labels and templates are refused with a sentence or judged, and a plain value matches itself alone',
  fc.property(
    assembled([
      '^',
      '$',
      '*',
      '.*',
      '(',
      ')',
      '[',
      ']',
      '(a+)+',
      '\\',
      '{{',
      '}}',
      'internal.db_users',
      'external.team',
      'prod',
      '|',
    ]),
    fc.string({maxLength: 20}),
    (pattern, value) => {
      const compiled = attempt(() => compilePattern(pattern))
      compiled?.matches(value)
      attempt(() => compileSelector({env: [pattern]}).misfit({env: value}))
      const filled = attempt(() => compileTemplate(pattern).fill({team: ['a', ''], db_users: [value]}))
      if (!/^[a-z0-9 ]*$/.test(value)) return filled === undefined || Array.isArray(filled)
      const {matches} = compilePattern(value)
      return matches(value) && !matches(`${value}x`)
    },
  ),
  [
    ['(a+)+$', 'a'.repeat(30)],
    ['^(a|a)*$', `${'a'.repeat(40)}!`],
    ['{{external.__proto__}}', ''],
  ],
)

/** A label expression with what it means. */
interface Meaning {
  readonly text: string
  readonly holds: (labels: Readonly<Record<string, string>>) => boolean
}

const {meaning} = fc.letrec<{meaning: Meaning}>((tie) => ({
  meaning: fc.oneof(
    {maxDepth: 4},
    fc
      .tuple(fc.constantFrom('env', 'team'), fc.constantFrom('==', '!='), fc.constantFrom('', 'prod', 'a b'))
      .map(([key, sign, value]): Meaning => ({
        text: `labels["${key}"] ${sign} "${value}"`,
        holds: (labels) => ((labels[key] ?? '') === value) === (sign === '=='),
      })),
    tie('meaning').map(({text, holds}): Meaning => ({text: `!(${text})`, holds: (labels) => !holds(labels)})),
    fc.tuple(tie('meaning'), fc.constantFrom('&&', '||'), tie('meaning')).map(([one, sign, other]): Meaning => ({
      text: `(${one.text})${sign} (${other.text})`,
      holds: (labels) =>
        sign === '&&' ? one.holds(labels) && other.holds(labels) : one.holds(labels) || other.holds(labels),
    })),
  ),
}))

const holder = {user: 'alice', traits: {team: ['shop']}}

fuzz(
  'label expressions',
  'a label expression means what it says, and one that is none is refused with a sentence',
  fc.property(
    meaning,
    fc.dictionary(fc.constantFrom('env', 'team'), fc.constantFrom('', 'prod', 'a b')),
    assembled([
      ...[
        'labels',
        '["env"]',
        '==',
        '!=',
        '"prod"',
        '&&',
        '||',
        '!',
        '(',
        ')',
        'user.spec.traits["team"]',
        'contains',
        ',',
      ],
      ...['labels_matching', 'regexp.match', 'user.metadata.name', '`', '"', '\\', '1e999', '__proto__', '.'],
    ]),
    ({text, holds}, labels, anything) => {
      attempt(() => compileLabelRule('allow', undefined, anything).fill(holder).selects(labels))
      return compileLabelRule('allow', undefined, text).fill(holder).selects(labels) === holds(labels)
    },
  ),
  [[{text: 'labels["env"] == "prod"', holds: ({env}) => env === 'prod'}, {env: 'prod'}, '('.repeat(10_000)]],
)
