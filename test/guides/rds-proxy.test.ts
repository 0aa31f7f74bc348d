import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {linesOf} from './lines.js'
import {followOwn} from './own-guide.js'
import {Reader} from './reader.js'
import {alice, follow, iam, type Treatments} from './treatments.js'

let reader: Reader

beforeAll(async () => {
  reader = await Reader.start('rds-proxy')
}, 300_000)

afterAll(() => reader.stop())

/** The guide creates no user: the administrator has. */
const makeAlice = (): Promise<unknown> =>
  reader
    .run('tctl users add --roles=access --db-users=alice --db-names=dev alice', {person: 'administrator'})
    .then(({stdout}) => reader.accept(stdout))

const treatments: Treatments = [
  ...iam,
  [/^tsh login .*--user=alice$/, {before: makeAlice, typing: {...alice, answers: [Reader.password]}}],
  [
    /^tsh db ls$/,
    {
      typing: alice,
      patient: true,
      check: ({stdout}) => {
        expect(stdout).toMatch(/^my-rds-proxy +RDS Proxy in us-west-1 +.*env=dev/m)
      },
    },
  ],
  [
    /^tsh db connect --db-user=alice --db-name=dev my-rds-proxy$/,
    {
      typing: {...alice, input: 'select current_user, count(*) from products;\n'},
      patient: true,
      check: ({stdout}) => {
        expect(stdout).toMatch(/^ alice +\| +10$/m)
      },
    },
  ],
]

it.each(linesOf('rds-proxy'))(
  '$at',
  (line) =>
    follow(line, reader, {
      treatments,
      substitutions: [
        [/\[email.protected\]/, 'email@example.com'],
        ['endpoint:port', reader.facts.database.uri],
        // The guide leaves the name to the address, and then calls the database by another.
        [/ rds-proxy$/, ' my-rds-proxy'],
      ],
    }),
  300_000,
)

it('docs/guides/rds-proxy.md, block by block', async () => {
  expect(await followOwn('rds-proxy', reader)).toEqual([expect.stringMatching(/^ alice +\| +10$/m)])
}, 300_000)
