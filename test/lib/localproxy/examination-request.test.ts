import {expect, it, jest} from '@jest/globals'
import {setTimeout as sleep} from 'node:timers/promises'
import type {TLSSocket} from 'node:tls'
import {requestExamination} from '../../../src/lib/localproxy/examination-request.js'
import {authenticationOk, encodeParameterStatus} from '../../../src/lib/pgwire/server-messages.js'
import {reportParameter} from '../../../src/lib/resources/examination-report.js'
import {passed} from '../../../src/lib/resources/finding.js'
import {openingPulse, stillOpening} from '../../../src/lib/tunnel/greeting.js'
import {hostA, holdTime, setup} from './rig.js'

const report = {agent: 'db-host', findings: [passed('access', 'Your roles allow it.')]}
const answer = Buffer.concat([
  stillOpening,
  authenticationOk,
  encodeParameterStatus(reportParameter, JSON.stringify(report)),
])
const route = {dbUser: 'alice', dbName: 'shop'}

it.each<[string, (socket: TLSSocket) => unknown]>([
  ['is silent', () => undefined],
  ['is killed', (socket) => socket.destroy(new Error('killed'))],
  ['closes the connection', (socket) => socket.end(stillOpening)],
])('is asked again of an agent that %s', async (what, fail) => {
  const {agent, source} = await setup()
  holdTime()
  const fake = await agent(hostA, {ok: true}, (socket) => {
    if (fake.sessions.length === 1) fail(socket)
    else socket.end(answer)
  })
  const asked = requestExamination(await source([{port: fake.port, hostId: hostA}]), route)
  while (fake.sessions.length === 0) await sleep(5)
  if (what === 'is silent') jest.advanceTimersByTime(openingPulse.silence)
  await expect(asked).resolves.toEqual(report)
})
