import {describe, expect, it} from '@jest/globals'
import {execFile} from 'node:child_process'
import {readFile} from 'node:fs/promises'
import {promisify} from 'node:util'
import {runCli} from '../helpers/cli.js'

const command = ['db', 'configure', 'aws', 'print-iam']
const golden = (name: string): Promise<string> => readFile(`test/commands/print-iam/${name}.txt`, 'utf8')

describe('print-iam', () => {
  it.each([
    ['rds', ['--types', 'rds']],
    ['rdsproxy', ['--types=rdsproxy', '--policy']],
    ['redshift', ['--types', 'redshift', '--role', 'redshift-agent']],
    ['redshift-serverless', ['--types', 'redshift-serverless', '--policy']],
    // One order, whatever is typed, and no action twice.
    ['rds-and-rdsproxy', ['--types', 'rdsproxy,rds,rdsproxy', '--policy']],
    ['redshift-both', ['-r', 'redshift-serverless', '-r', 'redshift']],
    [
      'everything',
      [
        '--types=redshift-serverless,redshift,rdsproxy,rds',
        '--role=arn:aws:iam::123456789012:role/services/agent',
        '--assumes-roles=reader,arn:aws:iam::210987654321:role/writer,reader',
      ],
    ],
    ['roles', ['--user=/people/alice', '--assumes-roles=reader', '--policy']],
  ])('prints %s, byte for byte', async (name, words) => {
    expect(await runCli([...command, ...words])).toEqual({code: 0, stdout: await golden(name), stderr: ''})
  })

  it('answers to its short name too', async () => {
    const {stdout} = await runCli(['configure', 'aws', 'print-iam', '--types', 'rds'])
    expect(stdout).toBe(await golden('rds'))
  })

  it('gives the document alone as JSON, the same that people read', async () => {
    const {stdout} = await runCli([...command, '--types=rdsproxy', '--policy', '--format=json'])
    expect(stdout).toBe(await golden('rdsproxy'))
  })

  it('gives the steps as JSON', async () => {
    const {stdout} = await runCli([...command, '--types=redshift', '--role=agent', '-f', 'json'])
    expect(JSON.parse(stdout)).toMatchObject({
      actions: [
        {action: 'create-policy', policy: {Statement: [{Action: ['redshift:DescribeClusters', expect.any(String)]}]}},
        {action: 'attach-policy', target_arn: 'arn:*:iam::*:role/agent'},
      ],
    })
  })

  it.each([
    [['--types', 'rds,elasticache'], 'rds, rdsproxy, redshift, redshift-serverless'],
    [['--types', 'RDS'], 'rds, rdsproxy, redshift, redshift-serverless'],
    [['--types='], 'rds, rdsproxy, redshift, redshift-serverless'],
    [[], 'rds, rdsproxy, redshift, redshift-serverless'],
    [['--types=rds', '--user=a', '--role=b'], 'cannot also be provided'],
    [['--types=rds', '--role=a b'], '"a b" is not the name of a role'],
    [['--types=rds', '--role=arn:aws:iam::123456789012:user/x'], 'is not the ARN of a role'],
    [['--types=rds', '--role=arn:aws:iam::1:role/x'], 'is not the ARN of an IAM identity'],
    [['--assumes-roles=arn:aws:iam::123456789012:role/x","Action":"*'], 'is not the ARN of an IAM identity'],
    [['--role=arn:aws:iam::123456789012:role/x', '--assumes-roles=arn:aws:iam::*:role/y'], 'is not 12 digits'],
  ])('%j is a mistake of usage', async (words, said) => {
    const {code, stdout, stderr} = await runCli([...command, ...words])
    expect({code, stdout}).toEqual({code: 2, stdout: ''})
    expect(stderr).toContain(said)
  })

  it('loads neither the AWS SDK nor anything else that is heavy or opens connections', async () => {
    const record = `
      import {register} from 'node:module'
      register('data:text/javascript,' + encodeURIComponent(\`
        import {writeSync} from 'node:fs'
        export async function resolve(specifier, context, next) {
          const found = await next(specifier, context)
          writeSync(2, found.url + '\\\\n')
          return found
        }\`))`
    const {stdout, stderr} = await promisify(execFile)(
      process.execPath,
      ['--import', `data:text/javascript,${encodeURIComponent(record)}`, 'bin/run.js', ...command, '--types=rds'],
      {maxBuffer: 1024 * 1024},
    )
    expect(stdout).toBe(await golden('rds'))
    const loaded = stderr.trim().split('\n')
    expect(loaded.some((url) => url.endsWith('/dist/lib/aws/iam-policy.js'))).toBe(true)
    expect(
      loaded.filter((url) => /node_modules\/(@aws-sdk|@smithy|zod|yaml|undici|pg|inquirer|cli-table3)\//.test(url)),
    ).toEqual([])
    expect(loaded.filter((url) => /^node:(http|https|http2|tls|dns)$/.test(url))).toEqual([])
  })
})
