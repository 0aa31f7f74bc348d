import {beforeAll, describe, expect, it} from '@jest/globals'
import {readFile} from 'node:fs/promises'
import {createWorld} from '../../src/lib/sandbox/world.js'
import {systemClock} from '../../src/lib/core/clock.js'
import {runCli} from '../helpers/cli.js'

const account = '123456789012'
const external = '210987654321'
const agent = `arn:aws:iam::${account}:role/postern-db-service-role`
const printIam = ['print-iam', '--layout', 'guide', '--types']
const printTrust = ['print-trust', '--role']
const external_ = ['print-trust', `--role=arn:aws:iam::${external}:role/postern-db-service-role`]
const ofRoles = ['print-iam', '--layout=guide', `--assumes-roles=arn:aws:iam::${account}:role/db-user-role`]

/** What prints each of the guides' documents. */
const commands: Readonly<Record<string, readonly string[]>> = {
  'aurora.md:102': [...printIam, 'rds'],
  'aurora.md:485': [...printTrust, agent],
  'aurora.md:505': [...printTrust, agent, '--principal', 'account'],
  'aurora.md:525': [...external_, '--external-id', 'example-external-id'],
  'aurora.md:550': ofRoles,
  'rds-proxy.txt:138': [...printIam, 'rdsproxy'],
  'rds-proxy.txt:199': [...printIam, 'rdsproxy', '--for-proxy-role'],
  'rds-proxy.txt:225': ['print-trust', '--for-proxy-role'],
  'rds-proxy.txt:313': [...printTrust, agent, '--principal=role'],
  'rds-proxy.txt:325': [...printTrust, agent, '--principal=account'],
  'rds-proxy.txt:337': [...external_, '--external-id=example-external-id'],
  'rds-proxy.txt:359': ofRoles,
  'redshift.md:260': [...printIam, 'redshift'],
  'redshift.md:406': [...printIam, 'redshift', '--for-user-role'],
  'redshift.md:551': [...printTrust, agent],
  'redshift.md:571': [...printTrust, agent, '--principal', 'account'],
  'redshift.md:591': [...external_, '--external-id', 'example-external-id'],
  'redshift.md:616': ofRoles,
}

const run = (words: readonly string[]): ReturnType<typeof runCli> => runCli(['db', 'configure', 'aws', ...words])

type Json = Readonly<Record<string, unknown>>

/** A list of one means what its item means. */
function normalize(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 1 && typeof value[0] === 'string' ? value[0] : value.map(normalize)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, normalize(one)]))
}

/** In our names, and where the command was given an account, with it. */
function inOurNames(text: string, words: readonly string[]): Json {
  const ours = text.replaceAll('teleport', 'postern')
  const filled = words.some((word) => word.includes('arn:'))
    ? ours.replaceAll('external-aws-account-id', external).replaceAll('aws-account-id', account)
    : ours
  return JSON.parse(filled) as Json
}

describe('the policies of the guides', () => {
  let documents: Map<string, string>

  beforeAll(async () => {
    const text = await readFile('test/guides/policies.txt', 'utf8')
    documents = new Map(
      text
        .split(/^== /m)
        .slice(1)
        .map((block) => [block.slice(0, block.indexOf('\n')), block.slice(block.indexOf('\n'))]),
    )
  })

  it('are all printed', () => {
    expect([...documents.keys()].sort()).toEqual(Object.keys(commands).sort())
  })

  it.each(Object.entries(commands))('%s', async (place, words) => {
    const {code, stdout} = await run(words)
    expect(code).toBe(0)
    expect(normalize(JSON.parse(stdout))).toEqual(normalize(inOurNames(documents.get(place) ?? '', words)))
  })

  it('say on standard error what is left to fill in', async () => {
    expect((await run([...printIam, 'rds'])).stderr).toContain('<resource-id>')
    expect((await run([...printIam, 'redshift'])).stderr).toContain('--assumes-roles')
    expect((await run([...printIam, 'redshift', '--assumes-roles=reader'])).stderr).toBe('')
    expect((await run([...printIam, 'rdsproxy', '--for-proxy-role'])).stderr).toContain('us-east-2')
  })

  it('have what is given for the secrets of an RDS Proxy, in one region throughout', async () => {
    const secret = `arn:aws:secretsmanager:eu-west-1:${account}:secret:rdsproxy_alice`
    const key = `arn:aws:kms:eu-west-1:${account}:key/0f1e2d3c-aaaa-bbbb-cccc-123456789abc`
    const {stdout, stderr} = await run([
      ...printIam,
      'rdsproxy',
      '--for-proxy-role',
      '--secrets',
      secret,
      '--kms-key',
      key,
    ])
    expect(JSON.parse(stdout)).toEqual({
      Version: '2012-10-17',
      Statement: [
        {Effect: 'Allow', Action: 'secretsmanager:GetSecretValue', Resource: secret},
        {
          Effect: 'Allow',
          Action: 'kms:Decrypt',
          Resource: key,
          Condition: {StringEquals: {'kms:ViaService': 'secretsmanager.eu-west-1.amazonaws.com'}},
        },
      ],
    })
    expect(stderr).toBe('')
  })

  it('are policies that the sandbox takes as AWS would', async () => {
    const trust = (await run([...printTrust, agent, '--external-id=ab'])).stdout
    const permissions = (await run([...printIam, 'redshift,redshift-serverless,rds,rdsproxy'])).stdout
    const roles = [{name: 'postern-db-service-role', trust, inline: {own: permissions}}]
    expect(() => createWorld({accounts: [{id: account, roles}]}, systemClock)).not.toThrow()
  })

  it.each([
    [['print-trust'], '--role'],
    [['print-trust', '--role=agent'], 'is not the ARN'],
    [['print-trust', `--role=arn:aws:sts::${account}:assumed-role/agent/i-1`], 'arn:aws:iam::'],
    [['print-trust', `--role=arn:aws:iam::*:role/agent`], 'names the account'],
    [['print-trust', `--role=${agent}`, '--external-id=a b'], 'is not an external id'],
    [['print-trust', `--role=${agent}`, '--for-proxy-role'], 'cannot also be provided'],
    [['print-iam', '--types=rds', '--for-user-role'], '--layout guide'],
    [[...printIam, 'rds', '--for-user-role'], 'are no IAM roles'],
    [['print-iam', '--layout=guide', '--for-user-role'], '--types'],
    [[...printIam, 'rds', '--for-proxy-role'], 'rdsproxy'],
    [[...printIam, 'rdsproxy', '--for-proxy-role', '--secrets=rdsproxy_alice'], 'is not the ARN of a secret'],
    [[...printIam, 'rdsproxy', '--secrets=x'], '--for-proxy-role'],
    [['print-iam', '--layout=guide'], 'rds, rdsproxy, redshift, redshift-serverless'],
  ])('%j is a mistake of usage', async (words, said) => {
    const {code, stdout, stderr} = await run(words)
    expect({code, stdout}).toEqual({code: 2, stdout: ''})
    expect(stderr).toContain(said)
  })
})
