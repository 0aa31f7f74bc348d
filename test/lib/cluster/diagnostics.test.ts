import {readFile} from 'node:fs/promises'
import {afterEach, expect, it} from '@jest/globals'
import {gaugesOf} from '../../../src/lib/cluster/gauges.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {startDiagnostics, type Diagnostics, type Readiness} from '../../../src/lib/cluster/diagnostics.js'

let diagnostics: Diagnostics | undefined

afterEach(() => diagnostics?.close())

it('answers health, readiness by the worst part, and metrics as they are now', async () => {
  let readiness: Readiness = 'starting'
  let sessions = 3
  diagnostics = await startDiagnostics({
    listen: {host: '127.0.0.1', port: 0},
    readiness: () => readiness,
    gauges: [{name: 'sessions', help: 'Sessions.', read: () => sessions}],
    logger: silentLogger,
  })
  const {host, port} = diagnostics.address
  const ask = (path: string): Promise<Response> => fetch(`http://${host}:${port}${path}`)
  expect(await (await ask('/healthz')).json()).toEqual({status: 'ok'})
  for (const [state, status] of [
    ['starting', 400],
    ['degraded', 503],
    ['ok', 200],
  ] as const) {
    readiness = state
    const answer = await ask('/readyz')
    expect({status: answer.status, body: await answer.json()}).toEqual({
      status,
      body: {status: state, pid: process.pid},
    })
  }
  expect(await (await ask('/metrics')).text()).toMatch(/^postern_sessions 3$/m)
  sessions = 4
  expect(await (await ask('/metrics')).text()).toMatch(/^postern_sessions 4$/m)
  expect((await ask('/other')).status).toBe(404)
})

it('says so when its address is taken', async () => {
  const options = {
    listen: {host: '127.0.0.1', port: 0},
    readiness: () => 'ok' as const,
    gauges: [],
    logger: silentLogger,
  }
  diagnostics = await startDiagnostics(options)
  await expect(startDiagnostics({...options, listen: diagnostics.address})).rejects.toMatchObject({
    code: 'UNREACHABLE',
  })
})

it('has in docs/configuration.md every number that there is, and no other', async () => {
  const page = await readFile('docs/configuration.md', 'utf8')
  const documented = [...page.matchAll(/^\| `((?:auth|proxy|agent|discovery)_\w+)` +\| (.+?) +\|$/gm)].filter(
    ([line]) => line.split('|').length === 4,
  )
  const gauges = gaugesOf({auth: undefined, proxy: undefined, agent: undefined, discovery: undefined})
  expect(documented.map(([, name, help]) => `${String(name)}: ${String(help)}.`).toSorted()).toEqual(
    gauges.map(({name, help}) => `${name}: ${help}`).toSorted(),
  )
})
