import {expect, it} from '@jest/globals'
import {once} from 'node:events'
import {connect, createServer, type AddressInfo} from 'node:net'
import {cli, runCli} from '../helpers/cli.js'
import {waitFor} from '../helpers/psql.js'
import {addPerson, guideRole, startThreeHosts} from '../helpers/three-hosts.js'

/** Forwards a port and keeps every byte that passes, in either direction. */
async function tap(target: number, seen: Buffer[]): Promise<number> {
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1')
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('error', () => to.destroy()).on('data', (chunk: Buffer) => seen.push(chunk))
      from.pipe(to)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  return (server.address() as AddressInfo).port
}

it('what passes the proxy holds no password, no user name and no SQL', async () => {
  const seen: Buffer[] = []
  const hosts = await startThreeHosts({
    beforeProxy: (port) => tap(port, seen),
    beforeAuth: (port) => tap(port, seen),
  })
  try {
    await cli(['create', ...hosts.admin], {input: guideRole})
    await hosts.postgres.execute('CREATE ROLE markeduser LOGIN')
    const person = await addPerson(hosts, 'markedperson', {password: 'marked-password-4711'})
    const account = ['--db-user=markeduser', '--db-name=postgres', 'aurora']
    const words = ['db', 'connect', ...account, '--', '-At', '-c', "select 'marked' || '-statement'"]
    // The agent hears of the person a moment after the control plane does.
    const {stdout} = await waitFor(async () => {
      const finished = await runCli(words, {environment: person})
      return finished.code === 0 ? finished : undefined
    })
    expect(stdout).toBe('marked-statement\n')
    const all = Buffer.concat(seen)
    // The tap does see the traffic: the route is in the clear.
    expect(all.includes('.agent.postern.example.com')).toBe(true)
    const encodings: BufferEncoding[] = ['utf8', 'utf16le']
    for (const marker of ['marked-password', 'markedperson', 'markeduser', 'marked-statement', 'select ']) {
      for (const encoding of encodings) expect(all.includes(Buffer.from(marker, encoding))).toBe(false)
    }
  } finally {
    await hosts.stop()
  }
})
