import {describe, expect, it} from '@jest/globals'
import {parseLabelSpec} from '../../../src/lib/config/label-spec.js'

describe('label specs', () => {
  it.each([
    ['', {}, []],
    ['env=dev', {env: 'dev'}, []],
    ['env=dev,team="data, ml", empty=', {env: 'dev', team: 'data, ml', empty: ''}, []],
    ['short=[a:b]', {short: '[a:b]'}, []],
    ['*=*', {'*': '*'}, []],
    ['host=[1m:hostname]', {}, [{name: 'host', period: 60_000, command: ['hostname']}]],
    ['os=[1h:/bin/uname -m],env=dev', {env: 'dev'}, [{name: 'os', period: 3_600_000, command: ['/bin/uname', '-m']}]],
    ['os="[1h:/bin/uname -m]"', {}, [{name: 'os', period: 3_600_000, command: ['/bin/uname', '-m']}]],
    [
      't=[1h30m:sh -c "date; echo a, b"],x=y',
      {x: 'y'},
      [{name: 't', period: 5_400_000, command: ['sh', '-c', 'date; echo a, b']}],
    ],
    ['t=[5s:date "+%H:%M"]', {}, [{name: 't', period: 5000, command: ['date', '+%H:%M']}]],
  ])('reads %j', (text, staticLabels, dynamicLabels) => {
    expect(parseLabelSpec(text)).toEqual({staticLabels, dynamicLabels})
  })

  it.each([
    'env',
    '=dev',
    'a b=c',
    'a=[hostname]',
    'a=[1m:    ]',
    'a=[often:hostname]',
    'a=[0:hostname]',
    'a=[1500ms:hostname]',
  ])('refuses %j', (text) => {
    expect(() => parseLabelSpec(text)).toThrow(expect.objectContaining({code: 'INVALID'}))
  })
})
