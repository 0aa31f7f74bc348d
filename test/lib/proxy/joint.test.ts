import {once} from 'node:events'
import {afterEach, expect, it} from '@jest/globals'
import {LocalJoint} from '../../../src/lib/proxy/joint.js'
import {closeOpened, socketPair} from '../tunnel/sockets.js'

afterEach(closeOpened)

it('keeps a session going whose agent answers just as its time is over', async () => {
  const client = await socketPair({allowHalfOpen: true})
  const agent = await socketPair({allowHalfOpen: true})
  if (agent.near.connecting) await once(agent.near, 'connect')
  const joint = new LocalJoint(client.far)
  const heard = once(agent.far, 'data') as Promise<[Buffer]>
  const answered = joint.offer(agent.near, Buffer.from('hello'), 50)
  // The answer is in the socket, and this process is held up until after the deadline: both come in one turn of the loop.
  agent.far.write('answer')
  const until = performance.now() + 100
  while (performance.now() < until);
  expect(await answered).toBe(true)
  expect(String((await heard)[0])).toBe('hello')
  const counts = joint.run()
  const [answer] = (await once(client.near, 'data')) as [Buffer]
  agent.far.write(', and more')
  const [more] = (await once(client.near, 'data')) as [Buffer]
  expect(`${answer.toString()}${more.toString()}`).toBe('answer, and more')
  client.near.end()
  agent.far.end()
  expect(await counts).toMatchObject({rightToLeftBytes: 16})
})
