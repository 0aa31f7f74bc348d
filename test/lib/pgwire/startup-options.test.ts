import {describe, expect, it} from '@jest/globals'
import {parseOptions, readStartupSettings} from '../../../src/lib/pgwire/startup-options.js'

function settingsOf(options: string): string[] | string {
  const parsed = parseOptions(options)
  return parsed.ok ? parsed.settings.map(({name, value}) => `${name}=${value}`) : parsed.sqlState
}

describe('startup options are read as the server reads them', () => {
  it.each([
    ['', []],
    [' \t\n\v\f\r ', []],
    ['-c role=postgres', ['role=postgres']],
    ['-crole=postgres', ['role=postgres']],
    ['--role=postgres', ['role=postgres']],
    ['-c\trole=postgres\n--geqo=off', ['role=postgres', 'geqo=off']],
    ['-c ROLE=Postgres', ['role=Postgres']],
    ['--session-authorization=x', ['session_authorization=x']],
    ['-c ses\\sion_authorization=x', ['session_authorization=x']],
    ['\\-c r\\ole=x', ['role=x']],
    ['-c search_path=a\\ b,\\\\c', ['search_path=a b,\\c']],
    ['-c a=b=c', ['a=b=c']],
    ['-c a=', ['a=']],
    ['-c a=b\\', ['a=b']],
    ['-c --role=x', ['__role=x']],
  ])('%j', (options, settings) => {
    expect(settingsOf(options)).toEqual(settings)
  })
})

describe('startup options that are no settings are refused', () => {
  it.each([
    '-c',
    '-c a',
    '-c=',
    '-c =x',
    '--',
    '--a',
    '-',
    '-e',
    '-ec role=x',
    'role=x',
    '-c a=b extra',
    '\\',
    '-S 100',
  ])('%j', (options) => {
    expect(settingsOf(options)).toBe('42601')
  })

  it('characters that some servers take for white space', () => {
    expect(settingsOf('-c application_name=x\u00a0-crole=postgres')).toBe('42601')
  })
})

it('ten thousand options take time in proportion', () => {
  const options = '-c a=b '.repeat(1400)
  expect(settingsOf(options)).toHaveLength(1400)
  expect(settingsOf('\\'.repeat(9999))).toBe('42601')
})

describe('the settings of a startup message', () => {
  it('are those in options and its own, names folded', () => {
    const parameters = new Map([
      ['user', 'alice'],
      ['database', 'app'],
      ['replication', 'database'],
      ['Role', 'postgres'],
      ['options', '-c Search-Path=evil'],
    ])
    expect(readStartupSettings(parameters)).toEqual({
      ok: true,
      settings: [
        {name: 'search_path', value: 'evil'},
        {name: 'role', value: 'postgres'},
      ],
    })
  })

  it('fold ASCII letters only', () => {
    expect(readStartupSettings(new Map([['WOR\u212a_mem', '1']]))).toEqual({
      ok: true,
      settings: [{name: 'wor\u212a_mem', value: '1'}],
    })
  })

  it('are refused with options that cannot be read', () => {
    expect(readStartupSettings(new Map([['options', 'x']])).ok).toBe(false)
  })
})
