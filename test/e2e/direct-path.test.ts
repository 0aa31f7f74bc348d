/**
 * An agent that clients reach without the proxy, with the processes and the psql of a real installation: the address goes
 * from the agent's configuration through its heartbeats to the certificate's answer, and sessions outlive the proxy.
 */
import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {cli, freePort, runCli} from '../helpers/cli.js'
import {waitFor} from '../helpers/psql.js'
import {addPerson, guideRole, startThreeHosts, type ThreeHosts} from '../helpers/three-hosts.js'

let hosts: ThreeHosts
let alice: NodeJS.ProcessEnv
let port: number

beforeAll(async () => {
  port = await freePort()
  hosts = await startThreeHosts({
    // Without the proxy it does not hear of the control plane: it lets people in for as long as this.
    agentConfiguration: (text) =>
      text.replace('db_service:\n', `db_service:\n  cache_ttl: 5m\n  direct_addr: 127.0.0.1:${port}\n`),
  })
  await cli(['create', '-f', ...hosts.admin], {input: guideRole})
  alice = await addPerson(hosts, 'alice')
})

afterAll(async () => {
  await hosts.stop()
})

it('psql reaches it, also when the proxy is gone', async () => {
  const account = ['--db-user=alice', '--db-name=postgres', 'aurora']
  const connect = ['db', 'connect', '--timings', ...account, '--', '-Atc', 'select count(*) from products']
  // On a machine that is held up the way through the proxy may win, and the agent hears of alice a moment later.
  const first = await waitFor(async () => {
    const finished = await runCli(connect, {environment: alice})
    return /^ {2}direct +[\d.]+ ms/m.test(finished.stderr) && finished.code === 0 ? finished : undefined
  })
  expect(first.stdout).toBe('10\n')

  const servers = JSON.parse(await cli(['get', 'db_server', '--format=json', ...hosts.admin])) as unknown[]
  expect(servers).toMatchObject([{spec: {direct_addr: `127.0.0.1:${port}`}}])

  await hosts.services.proxy.stop('SIGKILL')
  // An agent that is held up for seconds is given up.
  const second = await waitFor(async () => {
    const finished = await runCli(connect, {environment: alice})
    return finished.code === 0 ? finished : undefined
  })
  expect(second.stdout).toBe('10\n')
})
