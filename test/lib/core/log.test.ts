import {PassThrough} from 'node:stream'
import {describe, expect, it} from '@jest/globals'
import {createLogger, silentLogger, type Logger, type LogOptions} from '../../../src/lib/core/log.js'
import {Secret} from '../../../src/lib/core/secret.js'

async function logged(options: Partial<LogOptions>, write: (logger: Logger) => void): Promise<string> {
  const output = new PassThrough()
  write(await createLogger({level: 'info', format: 'json', output, ...options}))
  return String(output.read() ?? '')
}

describe('a JSON log', () => {
  it('is one object a line, with level, time, message and fields', async () => {
    const text = await logged({}, (logger) => {
      logger.with({service: 'proxy'}).warn('Careful.', {port: 3080})
    })
    expect(JSON.parse(text)).toEqual({
      level: 'warn',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      service: 'proxy',
      port: 3080,
      msg: 'Careful.',
    })
  })

  it('keeps a message with a newline on its line', async () => {
    const text = await logged({}, (logger) => {
      logger.info('one\ntwo', {field: 'three\nfour'})
    })
    expect(text.trimEnd().split('\n')).toHaveLength(1)
  })
})

describe('a text log', () => {
  it.each([
    ['plain', ' plain=plain'],
    ['two words', ' plain="two words"'],
    ['a=b', ' plain="a=b"'],
    ['', ' plain=""'],
    [{a: 1}, ' plain="{\\"a\\":1}"'],
    [7, ' plain=7'],
  ])('writes the field %j as%s', async (plain, shown) => {
    const text = await logged({format: 'text'}, (logger) => {
      logger.info('Hello.', {plain})
    })
    expect(text).toMatch(/^\S+Z INFO {2}Hello\./)
    expect(text.trimEnd().endsWith(`Hello.${shown}`)).toBe(true)
  })

  it.each(['\n2026-01-01 ERROR forged', '\r', '\u001B[2J', '\u009B2J', '\u202Etxt.exe', '\u2028'])(
    'cannot be forged or steered by %j',
    async (attack) => {
      const text = await logged({format: 'text'}, (logger) => {
        logger.info(`message${attack}`, {field: attack, list: [attack]})
      })
      expect(text.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}]/u)
      expect(text.endsWith('\n')).toBe(true)
    },
  )
})

describe('every log', () => {
  it.each(['text', 'json'] as const)('shows no secret (%s)', async (format) => {
    const password = new Secret('correct-horse')
    const text = await logged({format, level: 'debug'}, (logger) => {
      logger.with({password}).debug(`message ${String(password)}`, {deep: {list: [password]}})
      logger.error('failed', {err: Object.assign(new Error('no'), {password})})
    })
    expect(text).toContain('<secret>')
    expect(text).not.toContain('correct-horse')
  })

  it('leaves out what is below its level', async () => {
    const text = await logged({level: 'warn'}, (logger) => {
      logger.debug('a')
      logger.info('b')
      logger.warn('c')
      logger.error('d')
    })
    expect(text.match(/"msg":"."/g)).toEqual(['"msg":"c"', '"msg":"d"'])
  })
})

describe('the silent logger', () => {
  it('stays silent with fields too', () => {
    expect(silentLogger.with({a: 1})).toBe(silentLogger)
  })
})
