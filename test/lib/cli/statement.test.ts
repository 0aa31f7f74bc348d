import {expect, it} from '@jest/globals'
import {runStatement} from '../../../src/lib/cli/statement.js'
import {encodeMessage, int32} from '../../../src/lib/pgwire/message.js'
import {backend} from '../../../src/lib/pgwire/message-types.js'
import {authenticationOk} from '../../../src/lib/pgwire/server-messages.js'
import {hostA, setup} from '../localproxy/rig.js'

const ready = encodeMessage(backend.readyForQuery, Buffer.from('I'))
const key = encodeMessage(backend.backendKeyData, Buffer.concat([int32(7), int32(9)]))

it('says of a connection that is lost while a statement runs that nobody knows what became of it', async () => {
  const {agent, source} = await setup()
  const fake = await agent(hostA, {ok: true}, (socket) => {
    socket.write(Buffer.concat([authenticationOk, key, ready]))
    socket.once('data', () => socket.destroy())
  })
  const upstream = await source([{port: fake.port, hostId: hostA}])
  const route = {database: 'shop', dbUser: 'alice', dbName: 'shop'}
  const running = runStatement({...upstream, route}, 'delete from products', new AbortController().signal)
  await expect(running).rejects.toMatchObject({
    code: 'FAILED',
    message: expect.stringContaining('The connection was lost: ') as unknown as string,
    hints: ['Whether the statement was carried out is not known: look before you run it again.'],
  })
})
