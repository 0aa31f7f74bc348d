import {readFile} from 'node:fs/promises'
import {isAbsolute} from 'node:path'
import {PosternError} from '../core/errors.js'
import {Secret} from '../core/secret.js'
import type {JoinRole} from '../resources/token.js'
import type {Config, StaticToken, TokenSource} from './settings.js'

/** A token of the file: an absolute path names the file that holds it, anything else is the token. */
export function tokenSource(text: string): TokenSource {
  return isAbsolute(text) ? {path: text} : {token: new Secret(text)}
}

const rolesOfWords: ReadonlyMap<string, JoinRole> = new Map([
  ['db', 'Db'],
  ['proxy', 'Proxy'],
  ['discovery', 'Discovery'],
])

/** A token of the control plane's own file, `db,proxy:token`; undefined when it is something else. */
export function readStaticToken(text: string): StaticToken | undefined {
  const [, words = '', token] = /^([^:]+):(.+)$/.exec(text) ?? []
  const roles = words.split(',').map((word) => rolesOfWords.get(word.trim().toLowerCase()))
  const known = roles.filter((role) => role !== undefined)
  return token && known.length === roles.length ? {roles: known, source: tokenSource(token)} : undefined
}

/**
 * The token itself, read from its file when the configuration names one.
 * @throws PosternError INVALID when the file cannot be read or is empty.
 */
export async function readToken(source: TokenSource): Promise<Secret> {
  if ('token' in source) return source.token
  const token = (await readSmallFile(source.path, 'join token')).trim()
  if (token !== '') return new Secret(token)
  throw new PosternError('INVALID', `The join token file ${source.path} is empty.`, {
    hint: 'Write what `postern tokens add --format=text` prints into it.',
  })
}

/** The token to join with; undefined when the configuration has none. @throws PosternError as `readToken` */
export async function resolveToken(config: Pick<Config, 'joinToken'>): Promise<Secret | undefined> {
  return config.joinToken === undefined ? undefined : readToken(config.joinToken)
}

/** The CA pins, those in files read. @throws PosternError INVALID when a file cannot be read. */
export async function resolvePins(config: Pick<Config, 'caPins'>): Promise<string[]> {
  const pins = config.caPins.map(async (pin) =>
    isAbsolute(pin) ? (await readSmallFile(pin, 'CA pin')).split(/\s+/).filter(Boolean) : [pin],
  )
  return (await Promise.all(pins)).flat()
}

async function readSmallFile(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : 'cannot be read'
    throw new PosternError('INVALID', `The ${what} file ${path} ${reason}.`, {cause: error})
  }
}
