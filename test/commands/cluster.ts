import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {cli, freePort, runCli, startService, type CliOptions, type Finished} from '../helpers/cli.js'
import {waitFor} from '../helpers/psql.js'
import {guideRole} from '../helpers/three-hosts.js'

export const password = 'correct horse battery'

export interface TestCluster {
  readonly directory: string
  /** `host:port` */
  readonly proxy: string
  readonly authServer: string
  readonly configFile: string
  readonly caPin: string
  /** What `status` says of it in the end. */
  readonly retention: string
  /** A command of the administrator of this host. */
  admin(words: readonly string[], options?: CliOptions): Promise<Finished>
  /** A command of somebody with a home of their own. */
  as(person: string, words: readonly string[], options?: CliOptions): Promise<Finished>
  /** Makes a user with a password; they have not logged in yet. */
  addUser(name: string, flags: readonly string[]): Promise<void>
  /** Logs a user in. */
  logIn(person: string, flags?: readonly string[]): Promise<Finished>
  stop(): Promise<void>
}

/** Control plane and proxy as one process. */
export async function startTestCluster(): Promise<TestCluster> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-commands-'))
  const proxy = `127.0.0.1:${await freePort()}`
  const authServer = `127.0.0.1:${await freePort()}`
  const configFile = join(directory, 'postern.yaml')
  await writeFile(
    configFile,
    `version: v3
postern: {data_dir: '${directory}/data'}
auth_service:
  enabled: yes
  cluster_name: example.com
  listen_addr: '${authServer}'
  public_addr: '${proxy}'
  retention: {events: 400d, recordings: 90d}
proxy_service: {enabled: yes, web_listen_addr: '${proxy}', public_addr: '${proxy}'}
`,
  )
  const service = await startService(['-c', configFile])
  const administrator = {POSTERN_HOME: join(directory, 'nobody'), POSTERN_CONFIG_FILE: configFile}
  const admin: TestCluster['admin'] = (words, options) =>
    runCli(words, {...options, environment: {...administrator, ...options?.environment}})
  const caPin = /sha256:[0-9a-f]{64}/.exec(await cli(['status'], {environment: administrator}))?.[0] ?? ''
  const as: TestCluster['as'] = (person, words, options) =>
    runCli(words, {...options, environment: {POSTERN_HOME: join(directory, 'homes', person), ...options?.environment}})
  return {
    directory,
    proxy,
    authServer,
    configFile,
    caPin,
    retention: 'Audit    events are kept for 400d, recordings are kept for 90d',
    admin,
    as,
    addUser: async (name, flags) => {
      const answer = await cli(['users', 'add', name, ...flags, '--format=json'], {environment: administrator})
      const {url} = JSON.parse(answer) as {url: string}
      await cli(['invite', 'accept', url, '--password-stdin', `--ca-pin=${caPin}`], {input: `${password}\n`})
    },
    logIn: (person, flags = []) =>
      as(person, ['login', `--proxy=${proxy}`, `--user=${person}`, '--password-stdin', `--ca-pin=${caPin}`, ...flags], {
        input: `${password}\n`,
      }),
    stop: async () => {
      await service.stop()
      await rm(directory, {recursive: true, force: true})
    },
  }
}

/** An agent that announces databases. Nobody listens at their address: here nothing connects to them. */
export async function startTestAgent(
  cluster: TestCluster,
  databases: readonly {readonly name: string; readonly description?: string; readonly labels?: string}[],
): Promise<() => Promise<unknown>> {
  const {stdout: token} = await cluster.admin(['tokens', 'add', '--type=db', '--format=text'])
  const entries = databases.map(
    ({name, description = '', labels = ''}) =>
      `  - {name: '${name}', description: '${description}', protocol: postgres, uri: '127.0.0.1:1', static_labels: {${labels}}}\n`,
  )
  const file = join(cluster.directory, 'agent.yaml')
  await writeFile(
    file,
    `version: v3
postern: {data_dir: '${cluster.directory}/agent', proxy_server: '${cluster.proxy}', auth_token: '${token.trim()}', ca_pin: '${cluster.caPin}'}
auth_service: {enabled: no}
proxy_service: {enabled: no}
db_service:
  enabled: yes
  databases:
${entries.join('')}`,
  )
  const service = await startService(['-c', file])
  await waitFor(async () => {
    const {stdout} = await cluster.admin(['get', 'db_server', '--format=json'])
    return (JSON.parse(stdout) as unknown[]).length >= databases.length || undefined
  })
  return () => service.stop()
}

/** The guides' role, stored. */
export async function createGuideRole(cluster: TestCluster): Promise<void> {
  await cluster.admin(['create', '-f'], {input: guideRole})
}
