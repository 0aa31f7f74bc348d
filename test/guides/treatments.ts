/** What to do with the guides' lines. */
import {expect} from '@jest/globals'
import {readFileSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'
import type {Finished} from '../helpers/cli.js'
import type {GuideLine} from './lines.js'
import {Reader, type Typing} from './reader.js'

/** Programs of others, and why they are not run. */
const foreign: readonly (readonly [RegExp, string])[] = [
  [/^aws /, 'the AWS command line, on an account'],
  [/^nc /, 'netcat, to an address that only AWS has'],
  [/^curl(\.exe)? .*cdn\.teleport\.dev/, 'a download from the Internet'],
  [/^(tar -xzf teleport-|cd teleport$|\.\/install$)/, 'what was in the download'],
  [/^systemctl enable /, 'systemd, at the next boot'],
]

export interface Treatment {
  /** What has to be so before, and is not said in the guide, or is another edition's. */
  readonly before?: (reader: Reader) => Promise<unknown>
  readonly typing?: Typing
  /** In place of a shell. */
  readonly instead?: (reader: Reader) => Promise<unknown>
  /** Beyond the exit code 0. */
  readonly check?: (answer: Finished, reader: Reader) => unknown
  /** Run it until `check` holds: an agent is registered, or has heard of somebody, a moment later. */
  readonly patient?: boolean
}

export type Treatments = readonly (readonly [line: RegExp, treatment: Treatment])[]

/** Milliseconds until what must come has come. */
const patience = 200_000

const {version} = JSON.parse(readFileSync('package.json', 'utf8')) as {version: string}

/** The value that a line before gave to a variable. */
async function variable(reader: Reader, name: string): Promise<string> {
  return (await reader.run(`echo "$${name}"`)).stdout.trim()
}

const administrator: Typing = {person: 'administrator'}
export const alice: Typing = {person: 'alice'}
const operator: Typing = {person: 'operator of AWS', answers: [[/Confirm\?/, 'y']]}

const withPassword = (person: Typing): Typing => ({...person, answers: [Reader.password]})

/** Lines that the guides have in common. */
const common: Treatments = [
  [
    /^TELEPORT_DOMAIN=/,
    {
      check: async (_, reader) => {
        expect(await variable(reader, 'TELEPORT_DOMAIN')).toBe(reader.facts.proxy)
      },
    },
  ],
  [
    /^TELEPORT_VERSION=/,
    {
      check: async (_, reader) => {
        expect(await variable(reader, 'TELEPORT_VERSION')).toBe(version)
      },
    },
  ],
  [
    /^tsh login .*--user=email@example\.com$/,
    {
      typing: withPassword(administrator),
      check: ({stdout}) => {
        expect(stdout).toMatch(/Logged in as: +email@example\.com/)
      },
    },
  ],
  [
    /^tctl status$/,
    {
      typing: administrator,
      check: ({stdout}) => {
        expect(stdout).toMatch(
          new RegExp(`^Cluster  sandbox\nVersion  ${version.replaceAll('.', '\\.')}\nCA pin   sha256:[0-9a-f]{64}\n$`),
        )
      },
    },
  ],
  [
    /^tctl tokens add /,
    {
      typing: administrator,
      check: async ({stdout}, reader) => {
        expect(stdout).toMatch(/^[0-9a-f]{32}\n$/)
        await reader.write('tmp/token', stdout)
      },
    },
  ],
  [/^curl "https:\/\/\S+\/scripts\/install\.sh" \| bash -n$/, {}],
  [
    /^teleport db configure create /,
    {
      // The edition before has written the file.
      before: (reader) => reader.run('rm -f /etc/teleport.yaml'.replace('/etc', `${reader.root}/etc`)),
      check: async (_, reader) => {
        const text = await reader.read('etc/teleport.yaml')
        expect(text).toContain(reader.facts.database.uri)
        expect(text).toContain(reader.facts.proxy)
      },
    },
  ],
  [
    /^teleport install systemd /,
    {
      check: async (_, reader) => {
        expect(await reader.read('etc/systemd/system/teleport.service')).toMatch(/^ExecStart=.* start /m)
      },
      before: (reader) => reader.run(`mkdir -p '${reader.root}/etc/systemd/system'`),
    },
  ],
  [
    /^systemctl start teleport$/,
    {
      // A package brings the unit along that `install systemd` writes.
      instead: async (reader) =>
        reader.startService(
          await reader
            .read('etc/systemd/system/teleport.service')
            .catch(async () => (await reader.run('teleport install systemd')).stdout),
        ),
    },
  ],
  [
    /^tctl users add /,
    {
      // The edition before has added the user.
      before: (reader) => reader.run('tctl users rm alice', administrator),
      typing: administrator,
      check: ({stdout}, reader) => reader.accept(stdout),
    },
  ],
  [
    /^tctl get db_server\/\S+ --format json \| jq /,
    {
      typing: administrator,
      // Until its health was checked.
      patient: true,
      check: ({stdout}) => {
        expect(JSON.parse(stdout)).toEqual({
          hostname: expect.stringMatching(/./),
          host_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
          version,
          target_health: expect.objectContaining({status: 'healthy'}),
        })
      },
    },
  ],
  [
    /^tsh login .*--user=alice$/,
    {
      typing: withPassword(alice),
      check: ({stdout}) => {
        expect(stdout).toMatch(/Logged in as: +alice\n/)
      },
    },
  ],
  [/^tsh db logout /, {typing: alice}],
]

const account = '123456789012'

/** An agent whose databases are reached through this role. */
const agentWithRole = (role: string) => (reader: Reader) =>
  reader.write(
    'etc/teleport.yaml',
    `version: v3
teleport: {proxy_server: "${reader.facts.proxy}", auth_token: x}
auth_service: {enabled: no}
proxy_service: {enabled: no}
db_service:
  enabled: yes
  databases:
  - name: rds-postgres
    protocol: postgres
    uri: "rds-postgres.abcdef012345.us-west-1.rds.amazonaws.com:5432"
    aws: {assume_role_arn: "arn:aws:iam::${account}:role/${role}"}
`,
  )

const attached = (policy: string, to: string): NonNullable<Treatment['check']> => {
  return ({stdout}) => {
    expect(stdout).toContain(`[AWS] [${account}] Create IAM Policy "${policy}"... done.`)
    expect(stdout).toContain(`[AWS] [${account}] Attach IAM policies to "${to}"... done.`)
  }
}

const grants =
  (...actions: readonly string[]): NonNullable<Treatment['check']> =>
  ({stdout}) => {
    for (const action of actions) expect(stdout).toContain(`"${action}"`)
  }

/** The commands about IAM, under "Maximum policy size exceeded". */
export const iam: Treatments = [
  [
    /create-iam --types redshift,redshift-serverless --name teleport-redshift-access$/,
    {typing: operator, check: attached('teleport-redshift-access', 'operator')},
  ],
  [
    /create-iam --types rds --name teleport-rds-access$/,
    {typing: operator, check: attached('teleport-rds-access', 'operator')},
  ],
  [
    /print-iam --types redshift,redshift-serverless$/,
    {check: grants('redshift:GetClusterCredentials', 'redshift-serverless:ListWorkgroups')},
  ],
  [/print-iam --types rds$/, {check: grants('rds-db:connect')}],
  ...['rds-env-prod', 'rds-access'].map((name): Treatments[number] => {
    const role = name === 'rds-access' ? 'example-rds-access-role' : `example-role-${name}`
    return [
      new RegExp(`^teleport db configure bootstrap .*--policy-name teleport-policy-${name} `, 's'),
      {typing: operator, before: agentWithRole(role), check: attached(`teleport-policy-${name}`, role)},
    ]
  }),
]

/** The documented substitutions: addresses, names, places. */
export type Substitutions = readonly (readonly [RegExp | string, string])[]

function substitute(line: string, own: Substitutions, reader: Reader): string {
  const everywhere: Substitutions = [
    [/(teleport\.example\.com|mytenant\.teleport\.sh|example\.teleport\.com)(:443)?/g, reader.facts.proxy],
    [' -o file ', ' -o file:///etc/teleport.yaml '],
    [/-o file \\\n/, '-o file:///etc/teleport.yaml \\\n'],
    // npm works for half a minute: test/e2e/install-script.test.ts has it install the program, once.
    [/install\.sh" \| bash$/, 'install.sh" | bash -n'],
  ]
  const done = [...own, ...everywhere].reduce((text, [from, to]) => text.replace(from, () => to), line)
  return reader.rooted(done)
}

/** Runs one line of a guide, unless its program is somebody else's. @throws when nothing is said about the line */
export async function follow(
  line: GuideLine,
  reader: Reader,
  own: {readonly treatments: Treatments; readonly substitutions: Substitutions},
): Promise<void> {
  if (foreign.some(([pattern]) => pattern.test(line.text))) return
  const text = substitute(line.text, own.substitutions, reader)
  const [, treatment] = [...own.treatments, ...common].find(([pattern]) => pattern.test(text)) ?? []
  if (!treatment) throw new Error(`${line.at} is neither run nor of another program: ${line.text}`)
  const {before, instead, typing, check, patient} = treatment
  await before?.(reader)
  if (instead) {
    await instead(reader)
    return
  }
  const until = performance.now() + (patient ? patience : 0)
  for (;;) {
    try {
      const answer = await reader.run(text, typing)
      expect({line: text, ...answer}).toMatchObject({code: 0})
      await check?.(answer, reader)
      return
    } catch (error) {
      if (performance.now() > until) throw error
      await sleep(200)
    }
  }
}
