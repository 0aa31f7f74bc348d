import {once} from 'node:events'
import {connect, createServer, type AddressInfo} from 'node:net'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {encodeMessage, int32} from '../../../src/lib/pgwire/message.js'
import {backend} from '../../../src/lib/pgwire/message-types.js'
import {
  ensureRole,
  isMember,
  passwordOf,
  roleExists,
  type RealPostgres,
} from '../../../src/lib/sandbox/real-postgres.js'
import {openSession} from '../../../src/lib/sandbox/real-session.js'
import {realPostgres, startOpenPostgres} from './databases.js'

let server: PostgresServer
let postgres: RealPostgres

beforeAll(async () => {
  server = await startOpenPostgres()
  postgres = realPostgres(server)
})

afterAll(() => server.stop())

describe('a role', () => {
  it('is made once, however many ask for it at the same time', async () => {
    await Promise.all(Array.from({length: 8}, () => ensureRole(postgres, 'IAMR:a "role"', 'login')))
    expect(await roleExists(postgres, 'IAMR:a "role"')).toBe(true)
  })

  it('has members, directly and by way of others; superusers are none by nature', async () => {
    await postgres.execute(`
      create role rds_iam; create role team in role rds_iam; create role "it's" in role team;
      create role boss superuser; create role other`)
    const names = ['rds_iam', 'team', "it's", 'boss', 'other', 'nobody']
    const members = await Promise.all(names.map((name) => isMember(postgres, name, 'rds_iam')))
    expect(members).toEqual([false, true, true, false, false, false])
  })

  it('has a password, or none', async () => {
    await postgres.execute(`create role a login password 'x'; create role b login; create role c password 'x'`)
    expect(await passwordOf(postgres, 'a')).toMatch(/^SCRAM-SHA-256\$/)
    const others = await Promise.all(['b', 'c', 'nobody'].map((name) => passwordOf(postgres, name)))
    expect(others).toEqual([undefined, undefined, undefined])
  })
})

it('a session is not passed on to a server that asks for a password', async () => {
  const listener = createServer((socket) => socket.end(encodeMessage(backend.authentication, int32(3))))
  await once(listener.listen(0, '127.0.0.1'), 'listening')
  const asking: RealPostgres = {
    execute: () => Promise.resolve([]),
    connectAs: async () => {
      const socket = connect((listener.address() as AddressInfo).port, '127.0.0.1')
      await once(socket, 'connect')
      return socket
    },
  }
  const startup = {minor: 0, user: 'alice', database: 'dev', parameters: new Map<string, string>(), protocolOptions: []}
  const session = await openSession(asking, {user: 'alice', database: 'dev'}, startup)
  await expect(session.greet(() => undefined)).rejects.toMatchObject({code: 'FAILED'})
  session.socket.destroy()
  listener.close()
})
