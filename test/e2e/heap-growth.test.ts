import {spawnSync} from 'node:child_process'
import {describe, expect, it} from '@jest/globals'

const module = new URL('../../dist/lib/core/heap-growth.js', import.meta.url)

describe('the setting for the heap of services', () => {
  // V8 names a setting that it does not know on the standard error output of the process, and goes on without.
  it('is one that this Node.js knows', () => {
    const script = `import {letHeapGrow} from ${JSON.stringify(module.href)}; letHeapGrow(); console.log('done')`
    const {stdout, stderr} = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      env: {},
    })
    expect({stdout, stderr}).toEqual({stdout: 'done\n', stderr: ''})
  })
})
