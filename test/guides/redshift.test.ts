import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {linesOf} from './lines.js'
import {followOwn} from './own-guide.js'
import {Reader} from './reader.js'
import {alice, follow, iam, type Treatments} from './treatments.js'

let reader: Reader

beforeAll(async () => {
  reader = await Reader.start('redshift')
}, 300_000)

afterAll(() => reader.stop())

const query = {...alice, input: 'select current_user, count(*) from products;\n'}

const treatments: Treatments = [
  ...iam,
  [
    /^tsh db ls$/,
    {
      typing: alice,
      patient: true,
      check: ({stdout}) => {
        expect(stdout).toMatch(/^my-redshift +Redshift cluster in us-west-1 +env=dev$/m)
      },
    },
  ],
  [
    /^tsh db connect --db-user[= ]alice --db-name[= ]dev my-redshift$/,
    {
      typing: query,
      patient: true,
      check: ({stdout}) => {
        expect(stdout).toMatch(/^ alice +\| +10$/m)
      },
    },
  ],
  [
    /^tsh db connect my-redshift --db-user=role\/redshift-user-role$/,
    {
      typing: query,
      patient: true,
      check: ({stdout}) => {
        expect(stdout).toMatch(/^ IAMR:redshift-user-role +\| +10$/m)
      },
    },
  ],
]

it.each(linesOf('redshift'))(
  '$at',
  (line) =>
    follow(line, reader, {
      treatments,
      substitutions: [
        // The guide calls its database by both names.
        ['redshift-postgres', 'my-redshift'],
        ['db_server/postgres-instance-1', 'db_server/my-redshift'],
        ['--db-user postgres --db-name postgres postgres', '--db-user alice --db-name dev my-redshift'],
      ],
    }),
  300_000,
)

it('docs/guides/redshift.md, block by block', async () => {
  expect(await followOwn('redshift', reader)).toEqual([
    expect.stringMatching(/^ alice +\| +10$/m),
    expect.stringMatching(/^ IAMR:redshift-user-role +\| +10$/m),
  ])
}, 300_000)
