import {setTimeout as sleep} from 'node:timers/promises'
import {afterAll, afterEach, beforeAll, describe, expect, it, jest} from '@jest/globals'
import {AwsDatabases} from '../../../src/lib/agent/aws-databases.js'
import type {Served} from '../../../src/lib/agent/catalog.js'
import type {Aws} from '../../../src/lib/aws/aws.js'
import type {AwsDescription} from '../../../src/lib/aws/description.js'
import {Turnstile} from '../../../src/lib/aws/turnstile.js'
import {PosternError} from '../../../src/lib/core/errors.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {allow, home, region} from '../sandbox/rig.js'
import {startAwsRig, type AwsRig} from './aws-rig.js'
import {accessRole, databaseResource, until} from './rig.js'

const rds = 'abcdefghijklm.us-west-1.rds.amazonaws.com'
const redshift = 'my-redshift.abcdefghijklm.us-west-1.redshift.amazonaws.com:5439'
const saysAws = (name: string): Error => Object.assign(new Error('No.'), {name, $metadata: {httpStatusCode: 400}})

describe('while AWS does not answer an agent that has started', () => {
  let rig: AwsRig

  beforeAll(async () => {
    rig = await startAwsRig(
      {
        accounts: [
          {
            id: home,
            endpointId: 'abcdefghijklm',
            users: [{name: 'agent', inline: {all: allow(['rds-db:*', 'rds:*'])}}],
            instances: [{id: 'postgres-1', region, resourceId: 'db-ONE', tags: {secrecy: 'top'}}],
          },
        ],
        agent: {kind: 'access-key', account: home, user: 'agent', region},
      },
      [{name: 'instance', uri: `postgres-1.${rds}:5432`}],
      {sql: ['create role alice login; grant rds_iam to alice'], outages: ['rds']},
    )
  })

  afterAll(() => rig.stop())

  it('a role that denies by labels lets nobody in, others do', async () => {
    const where = {database: 'instance', dbUser: 'alice'}
    const {spec, ...rest} = accessRole
    expect(await rig.psql(where, 'select 1')).toBe('1')
    const item = {...rest, spec: {...spec, deny: {db_labels: {secrecy: ['top']}}}}
    rig.agents.plane.put({kind: 'role', name: 'access', item})
    // Its cache takes the change up at once, but not before this line.
    const refused = async (): Promise<boolean> =>
      (await rig.refusal(where).catch(() => '')).includes('AWS does not tell the tags of "instance"')
    await until(refused, 'the role is known')
  })
})

describe('what counts as an answer of AWS', () => {
  afterEach(() => {
    jest.useRealTimers()
  })

  interface Told {
    readonly databases: AwsDatabases
    readonly served: Served
    readonly descriptions: AwsDescription[]
    readonly warnings: unknown[]
  }

  /** What the agent knows after it has asked. */
  async function ask(uri: string, answer: () => Promise<AwsDescription>): Promise<Told> {
    const descriptions: AwsDescription[] = []
    const warnings: unknown[] = []
    const databases = new AwsDatabases({
      aws: {describe: answer, accountOf: () => Promise.resolve(home)} as unknown as Aws,
      rules: {roles: [], allowedRoles: undefined},
      logger: {...silentLogger, warn: (_, fields) => warnings.push(fields?.reason)},
      onDescription: (_, description) => descriptions.push(description),
    })
    const served: Served = {database: databaseResource('db', uri), origin: 'config-file'}
    databases.start(served)
    await databases.settled(served)
    return {databases, served, descriptions, warnings}
  }

  it.each<[string, Error, boolean]>([
    ['a refusal', saysAws('AccessDenied'), true],
    ['that there is no such database', saysAws('DBInstanceNotFound'), true],
    ['that there are no credentials', new PosternError('FAILED', 'The agent has no AWS credentials.'), true],
    ['an outage', saysAws('ServiceUnavailable'), false],
    ['throttling', saysAws('ThrottlingException'), false],
    [
      'a role that fails for an outage',
      new PosternError('FAILED', 'No role.', {cause: saysAws('InternalFailure')}),
      false,
    ],
    ['no connection', Object.assign(new Error('connect'), {code: 'ECONNREFUSED'}), false],
  ])('%s', async (_, error, isAnswer) => {
    const {databases, served} = await ask(`postgres-1.${rds}:5432`, () => Promise.reject(error))
    expect(databases.knowsLabels(served)).toBe(isAnswer)
    expect(databases.knowsLabels({...served, origin: 'dynamic'})).toBe(true)
    databases.stop()
  })

  it('the account of a Redshift database is known without a description', async () => {
    const {databases, descriptions} = await ask(redshift, () => Promise.reject(saysAws('AccessDenied')))
    expect(descriptions).toMatchObject([{settings: {account_id: home, region}, tags: {}}])
    databases.stop()
  })

  it('a reason is said once, and once more after AWS has answered; questions become rarer', async () => {
    jest.useFakeTimers({doNotFake: ['performance']})
    let error: Error | undefined = saysAws('ServiceUnavailable')
    let asked = 0
    const answer: AwsDescription = {settings: {}, hosts: [], tags: {}}
    const {databases, warnings} = await ask(`postgres-1.${rds}:5432`, () => {
      asked += 1
      return error ? Promise.reject(error) : Promise.resolve(answer)
    })
    await jest.advanceTimersByTimeAsync(20 * 60_000)
    // At most eight until the pause has grown to ten minutes, then one in five at most.
    expect(asked).toBeGreaterThan(5)
    expect(asked).toBeLessThan(14)
    expect(warnings).toHaveLength(1)
    error = undefined
    await jest.advanceTimersByTimeAsync(11 * 60_000)
    error = saysAws('ServiceUnavailable')
    await jest.advanceTimersByTimeAsync(11 * 60_000)
    expect(warnings).toHaveLength(2)
    databases.stop()
  })
})

it('a turnstile lets so many in at once, and all in the end', async () => {
  const turnstile = new Turnstile(5)
  let inside = 0
  let most = 0
  const work = async (): Promise<void> => {
    inside += 1
    most = Math.max(most, inside)
    await sleep(1)
    inside -= 1
    throw new Error('a failure gives the place on as well')
  }
  const all = await Promise.allSettled(Array.from({length: 23}, () => turnstile.pass(work)))
  expect(all).toHaveLength(23)
  expect(most).toBe(5)
})
