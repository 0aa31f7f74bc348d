import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {abroad, allow, home, policy, region, trust} from '../sandbox/rig.js'
import {redshiftJdbc} from '../../e2e/drivers/redshift-jdbc.js'
import {replay} from '../../e2e/drivers/recording.js'
import {startAwsRig, type AwsRig} from './aws-rig.js'
import {greet, guestIdentity, sessionEvents} from './rig.js'

const suffix = 'us-west-1.redshift.amazonaws.com:5439'
const readers = `arn:aws:iam::${home}:role/redshift-readers`
const hop = `arn:aws:iam::${abroad}:role/hop`
const passwords = allow(['redshift:GetClusterCredentials*', 'redshift-serverless:Get*'])

let rig: AwsRig

beforeAll(async () => {
  rig = await startAwsRig(
    {
      accounts: [
        {
          id: home,
          endpointId: 'abcdefghijkl',
          users: [
            {
              name: 'agent',
              inline: {
                users: allow('redshift:GetClusterCredentials', [
                  `arn:aws:redshift:${region}:${home}:dbuser:my-redshift/*`,
                  `arn:aws:redshift:${region}:${home}:dbname:my-redshift/*`,
                ]),
                endpoints: allow('redshift-serverless:Get*'),
                roles: allow('sts:AssumeRole'),
              },
            },
          ],
          roles: [
            {name: 'redshift-readers', trust: trust({AWS: home}), inline: {passwords}},
            {name: 'untrusting', trust: trust({AWS: abroad}), inline: {passwords}},
          ],
          redshiftClusters: [{id: 'my-redshift', region}],
          workgroups: [{name: 'my-workgroup', region, endpoints: ['my-endpoint']}],
        },
        {
          id: abroad,
          endpointId: 'zyxwvutsrqpo',
          roles: [
            {
              name: 'hop',
              trust: trust({AWS: home}, {Condition: {StringEquals: {'sts:ExternalId': 'example-id'}}}),
              inline: {all: allow('sts:AssumeRole'), passwords},
            },
            {
              name: 'there',
              // An external id that comes again would not fit: it is for the first hop.
              trust: policy({
                Effect: 'Allow',
                Principal: {AWS: hop},
                Action: 'sts:AssumeRole',
                Condition: {Null: {'sts:ExternalId': 'true'}},
              }),
              inline: {passwords},
            },
          ],
          redshiftClusters: [{id: 'far', region}],
        },
      ],
      agent: {kind: 'access-key', account: home, user: 'agent', region},
    },
    [
      {name: 'my-redshift', uri: `my-redshift.abcdefghijkl.${suffix}`},
      {
        name: 'far',
        uri: `far.zyxwvutsrqpo.${suffix}`,
        aws: {assume_role_arn: hop, external_id: 'example-id'},
      },
      {
        name: 'my-workgroup',
        uri: `my-workgroup.${home}.us-west-1.redshift-serverless.amazonaws.com:5439`,
      },
      {
        name: 'my-endpoint',
        uri: (endpoints) => endpoints.find((endpoint) => endpoint.startsWith('my-endpoint-')) ?? '',
        aws: {redshift_serverless: {workgroup_name: 'my-workgroup'}},
      },
    ],
    {sql: ['create role alice login', 'create database dev']},
  )
})

afterAll(async () => {
  await rig.stop()
})

const who = (database: string, dbUser: string, dbName = 'dev'): Promise<string> =>
  rig.psql({database, dbUser, dbName}, 'select current_user')

describe('Redshift lets in', () => {
  it('an existing database user, however it is written', async () => {
    expect(await who('my-redshift', 'alice')).toBe('alice')
    expect(await who('my-redshift', 'Alice', 'DEV')).toBe('alice')
  })

  it('an IAM role, by name and by ARN, as a user that is made for it', async () => {
    expect(await who('my-redshift', 'role/redshift-readers')).toBe('IAMR:redshift-readers')
    expect(await who('my-redshift', readers)).toBe('IAMR:redshift-readers')
  })

  it('a user and a role of another account, over a role with an external id', async () => {
    expect(await who('far', 'alice')).toBe('alice')
    expect(await who('far', 'role/there')).toBe('IAMR:there')
  })
})

describe('Redshift Serverless lets in an IAM role', () => {
  it.each(['redshift-readers', 'role/redshift-readers', readers])('%s', async (role) => {
    expect(await who('my-workgroup', role)).toBe('IAMR:redshift-readers')
  })

  it('through a managed VPC endpoint', async () => {
    expect(await who('my-endpoint', 'redshift-readers')).toBe('IAMR:redshift-readers')
  })
})

describe('a refusal says what to do', () => {
  it.each<[string, [string, string], RegExp[]]>([
    ['a user that does not exist', ['my-redshift', 'bob'], [/user "IAM:bob" does not exist/, /CREATE USER bob/]],
    ['a prefix of AWS', ['my-redshift', 'IAM:alice'], [/no name of a Redshift user/, /without "IAM:"/]],
    ['a prefix of AWS', ['my-workgroup', 'IAMR:redshift-readers'], [/not the name of an IAM role/]],
    [
      'a role that does not trust the agent',
      ['my-redshift', 'role/untrusting'],
      [
        /AccessDenied: User: arn:aws:iam::111111111111:user\/agent is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111111111111:role\/untrusting/,
        /trust policy/,
        /aws sts assume-role --role-arn/,
      ],
    ],
    [
      'a role of another account',
      ['my-workgroup', hop],
      [/is of the account 222222222222, the database of 111111111111/],
    ],
  ])('about %s', async (_, [database, dbUser], expected) => {
    const said = await rig.refusal({database, dbUser, dbName: 'dev'})
    for (const text of expected) expect(said).toMatch(text)
  })
})

describe('B11: redshift-jdbc42', () => {
  it('opens a session although it asks for compression, gets all answers in one piece, and is audited', async () => {
    const {agents} = rig
    const {route} = guestIdentity()
    if (!route) throw new Error('no route')
    const guest = await agents.guest({route: {...route, database: 'my-redshift', dbName: 'dev'}})
    const socket = await agents.dial(guest)
    expect(await greet(socket)).toEqual({ok: true})
    const {opening, answers, split} = await replay(socket, redshiftJdbc)
    // It would take NegotiateProtocolVersion for the end of the protocol.
    expect(opening).toBe('RSKZ')
    expect(answers).toEqual(redshiftJdbc.flights.map(({answered}) => answered))
    expect(split).toEqual([])

    const events = await sessionEvents(agents.plane, 'DBeaver 24.1.0 - Main')
    const told = events
      .filter(({event}) => event === 'db.session.query')
      .map(({db_query, db_query_parameters: parameters, execution, sqlstate, affected_records: rows}) => [
        String(db_query).slice(0, 23),
        ...(parameters === undefined ? [] : [parameters]),
        execution ?? sqlstate ?? rows,
      ])
    expect(told.slice(5)).toEqual([
      ['SELECT relname, relkind', ['pg_class', '3'], 1],
      ['SELECT relname, relkind', ['nothing', '0'], 0],
      ['create temp table items', 0],
      ['BEGIN', 0],
      ['insert into items value', ['1', 'one'], 1],
      ['insert into items value', ['2', null], 1],
      ['insert into items value', [null, 'three'], 1],
      ['COMMIT', 0],
      ['BEGIN', 0],
      ['select n from generate_', 5],
      ['ROLLBACK', 0],
      ['select nothing from ite', '42703'],
    ])
  })
})
