import {expect, it} from '@jest/globals'
import {killSessions} from '../../../src/lib/cli/session-kill.js'
import {PosternError} from '../../../src/lib/core/errors.js'

it('tells which sessions were ended, whatever fails behind them', async () => {
  const asked: string[] = []
  const client = {
    killSession: (sid: string) => {
      asked.push(sid)
      if (sid === 'gone') return Promise.reject(new PosternError('NOT_FOUND', 'gone'))
      if (sid === 'away') return Promise.reject(new PosternError('UNREACHABLE', 'away'))
      return Promise.resolve({ended: true})
    },
  }
  const {killed, failures} = await killSessions(client, ['a', 'gone', 'b', 'away', 'c'], undefined)
  expect(killed).toEqual([
    {sid: 'a', ended: true},
    {sid: 'b', ended: true},
  ])
  expect(failures.map(({code}) => code)).toEqual(['NOT_FOUND', 'UNREACHABLE'])
  expect(asked).toEqual(['a', 'gone', 'b', 'away'])
})
