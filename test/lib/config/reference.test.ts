/** docs/configuration.md against the schema of the file and what is filled in. */
import {readFileSync} from 'node:fs'
import {expect, it} from '@jest/globals'
import {z} from 'zod'
import {parseConfig} from '../../../src/lib/config/file.js'
import {keysWithoutEffect, fileSchema} from '../../../src/lib/config/schema.js'
import {formatDuration} from '../../../src/lib/core/duration.js'
import {formatAddress} from '../../../src/lib/resources/endpoint.js'

const page = readFileSync('docs/configuration.md', 'utf8')

/** Sections of the page that are about the items of lists. */
const lists: Readonly<Record<string, readonly string[]>> = {
  'A database': ['db_service.databases[]'],
  'A matcher': ['db_service.aws[]', 'discovery_service.aws[]'],
}

interface Row {
  readonly keys: readonly string[]
  readonly default: string
}

/** The rows of the page's tables, with whole keys. */
const rows: readonly Row[] = page.split(/^##+ /m).flatMap((section) => {
  const [title = '', ...lines] = section.split('\n')
  if (!/^([a-z_]*service|postern)$/.test(title) && !Object.hasOwn(lists, title)) return []
  return lines.flatMap((line) => {
    const [, cell = '', value = ''] = line.split('|').map((text) => text.trim())
    const names = [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)
    if (!line.startsWith('|') || names.length === 0) return []
    const keys = (lists[title] ?? [title]).flatMap((above) => names.map((name) => `${above}.${name}`))
    return [{keys, default: value.replaceAll('`', '')}]
  })
})

/** What stands whole in a list of others. */
const others = (page.split('## What files for other systems say')[1] ?? '').match(/(?<=`)[a-z_]+\.[^`]+(?=`)/g) ?? []

/** Every key that the file may have: of a list and of a map the keys of its items. */
function* keysOf(schema: z.core.$ZodType, path: string): Generator<string> {
  if (schema instanceof z.ZodOptional) yield* keysOf(schema.unwrap(), path)
  else if (schema instanceof z.ZodArray) yield* keysOf(schema.element, `${path}[]`)
  else if (schema instanceof z.ZodPipe && schema.out instanceof z.ZodObject) yield* keysOf(schema.out, path)
  else if (schema instanceof z.ZodObject) {
    const shape: Readonly<Record<string, z.core.$ZodType>> = schema.shape
    for (const [key, below] of Object.entries(shape)) {
      yield* keysOf(below, path === '' ? key : `${path}.${key}`)
    }
  } else yield path
}

it('names every key that the file may have, and no other', () => {
  const known = [...keysOf(fileSchema, '')].filter((key) => key !== 'version' && !key.startsWith('teleport.'))
  const lonely = rows.flatMap(({keys}) => keys).filter((key) => /databases\[\]$|aws\[\]$/.test(key))
  const named = [...rows.flatMap(({keys}) => keys), ...others].filter((key) => !lonely.includes(key))
  expect(known.length).toBeGreaterThan(100)
  expect(named.toSorted()).toEqual(known.toSorted())
})

it('says of no key that has no effect that it has one', () => {
  const without = keysWithoutEffect.map(({path}) => path.join('.'))
  expect(without.filter((key) => !others.some((other) => other.startsWith(key)))).toEqual([])
})

it('has the defaults that are filled in', () => {
  const {authService, proxyService, dbService, discoveryService, ...host} = parseConfig('version: v3\n', {
    name: 'postern.yaml',
  })
  const bool = (flag: boolean): string => (flag ? 'yes' : 'no')
  const short = (milliseconds: number): string => formatDuration(milliseconds).replace(/(?<=[hm])(0[ms])+$/, '')
  const defaults: Readonly<Record<string, string>> = {
    'postern.data_dir': host.dataDir,
    'postern.join_params.method': host.joinMethod,
    'postern.log.output': typeof host.log.output === 'string' ? host.log.output : '',
    'postern.log.severity': host.log.level,
    'postern.log.format.output': host.log.format,
    'auth_service.enabled': bool(authService.enabled),
    'auth_service.listen_addr': formatAddress(authService.listenAddr),
    'auth_service.authentication.default_session_ttl': short(authService.defaultSessionTtl),
    'proxy_service.enabled': bool(proxyService.enabled),
    'proxy_service.web_listen_addr': formatAddress(proxyService.webListenAddr),
    'proxy_service.workers': String(proxyService.workers),
    'db_service.enabled': bool(dbService.enabled),
    'db_service.iam_policy': dbService.iamPolicy,
    'db_service.allow_loopback': bool(dbService.allowLoopback),
    'db_service.cache_ttl': short(dbService.cacheTtl),
    'db_service.max_stale': short(dbService.maxStale),
    'db_service.workers': String(dbService.workers),
    'discovery_service.enabled': bool(discoveryService.enabled),
    'discovery_service.poll_interval': short(discoveryService.pollInterval),
  }
  for (const [key, value] of Object.entries(defaults)) {
    expect({key, default: rows.find(({keys}) => keys.includes(key))?.default}).toEqual({key, default: value})
  }
})
