import {describe, expect, it} from '@jest/globals'
import {
  checkDatabaseName,
  classifyDatabase,
  defaultDatabaseName,
  detectEndpoint,
  formatAddress,
  isAwsHost,
  parseAddress,
  suggestDatabaseName,
} from '../../../src/lib/resources/endpoint.js'

describe('addresses', () => {
  it.each([
    ['db.internal:5432', undefined, {host: 'db.internal', port: 5432}],
    ['db.internal', 3080, {host: 'db.internal', port: 3080}],
    ['127.0.0.1:0', undefined, {host: '127.0.0.1', port: 0}],
    ['[::1]:5432', undefined, {host: '::1', port: 5432}],
    ['[::]', 3025, {host: '::', port: 3025}],
    [':3080', undefined, {host: '0.0.0.0', port: 3080}],
    ['localhost:65535', undefined, {host: 'localhost', port: 65_535}],
  ])('reads %s', (text, defaultPort, address) => {
    expect(parseAddress(text, defaultPort)).toEqual(address)
  })

  it.each([
    '',
    'db.internal',
    'db:',
    'db:port',
    'db:65536',
    'postgres://db:5432',
    'a b:1',
    '::1:5432',
    '[db]:1',
    'u@h:1',
    'db:1/x',
  ])('refuses "%s"', (text) => {
    expect(() => parseAddress(text)).toThrow(expect.objectContaining({code: 'INVALID'}))
  })

  it('writes brackets around IPv6 hosts only', () => {
    expect(formatAddress({host: '::1', port: 5432})).toBe('[::1]:5432')
    expect(formatAddress({host: 'db', port: 5432})).toBe('db:5432')
  })
})

describe('AWS endpoints', () => {
  it.each([
    [
      'mydb.abcdefghijkl.us-east-1.rds.amazonaws.com',
      {type: 'rds', region: 'us-east-1', endpointType: 'instance', instanceId: 'mydb'},
    ],
    [
      'c1.cluster-abcdefghijkl.eu-west-3.rds.amazonaws.com',
      {type: 'rds', region: 'eu-west-3', endpointType: 'primary', clusterId: 'c1'},
    ],
    [
      'c1.cluster-ro-abcdefghijkl.us-west-1.rds.amazonaws.com',
      {type: 'rds', region: 'us-west-1', endpointType: 'reader', clusterId: 'c1'},
    ],
    [
      'my-ep.cluster-custom-abcd.us-west-1.rds.amazonaws.com',
      {type: 'rds', region: 'us-west-1', endpointType: 'custom', customEndpointName: 'my-ep'},
    ],
    [
      'p1.proxy-abcdefghijkl.us-gov-west-1.rds.amazonaws.com',
      {type: 'rdsproxy', region: 'us-gov-west-1', proxyName: 'p1'},
    ],
    [
      'ep.endpoint.proxy-abcdefghijkl.us-west-1.rds.amazonaws.com',
      {type: 'rdsproxy', region: 'us-west-1', customEndpointName: 'ep'},
    ],
    [
      'mydb.abcdefghijkl.rds.cn-north-1.amazonaws.com.cn',
      {type: 'rds', region: 'cn-north-1', endpointType: 'instance', instanceId: 'mydb'},
    ],
    [
      'c1.cluster-abcd.rds.cn-northwest-1.amazonaws.com.cn',
      {type: 'rds', region: 'cn-northwest-1', endpointType: 'primary', clusterId: 'c1'},
    ],
    [
      'c1.cluster-ro-abcd.rds.cn-north-1.amazonaws.com.cn',
      {type: 'rds', region: 'cn-north-1', endpointType: 'reader', clusterId: 'c1'},
    ],
    [
      'e1.cluster-custom-abcd.rds.cn-north-1.amazonaws.com.cn',
      {type: 'rds', region: 'cn-north-1', endpointType: 'custom', customEndpointName: 'e1'},
    ],
    ['p1.proxy-abcd.rds.cn-north-1.amazonaws.com.cn', {type: 'rdsproxy', region: 'cn-north-1', proxyName: 'p1'}],
    [
      'e1.endpoint.proxy-abcd.rds.cn-north-1.amazonaws.com.cn',
      {type: 'rdsproxy', region: 'cn-north-1', customEndpointName: 'e1'},
    ],
    [
      'redshift-cluster-1.abcdefghijkl.eu-central-1.redshift.amazonaws.com',
      {type: 'redshift', region: 'eu-central-1', clusterId: 'redshift-cluster-1'},
    ],
    [
      'rs1.abcdefghijkl.redshift.cn-north-1.amazonaws.com.cn',
      {type: 'redshift', region: 'cn-north-1', clusterId: 'rs1'},
    ],
    [
      'wg.123456789012.us-east-1.redshift-serverless.amazonaws.com',
      {type: 'redshift-serverless', region: 'us-east-1', accountId: '123456789012', workgroupName: 'wg'},
    ],
    [
      'my-endpoint-endpoint-abc123.123456789012.us-east-1.redshift-serverless.amazonaws.com',
      {type: 'redshift-serverless', region: 'us-east-1', accountId: '123456789012', endpointName: 'my-endpoint'},
    ],
    [
      'MYDB.ABC.US-EAST-1.RDS.AMAZONAWS.COM',
      {type: 'rds', region: 'us-east-1', endpointType: 'instance', instanceId: 'mydb'},
    ],
  ])('knows %s', (host, endpoint) => {
    expect(detectEndpoint(host)).toEqual(endpoint)
  })

  it.each([
    'localhost',
    '10.0.0.5',
    'rds.amazonaws.com',
    'mydb.us-east-1.rds.amazonaws.com',
    'a.b.c.abcd.us-east-1.rds.amazonaws.com',
    'ep.other.proxy-abcd.us-east-1.rds.amazonaws.com',
    'mydb.abcd.useast1.rds.amazonaws.com',
    'mydb.abcd.us-east-1.rds.amazonaws.com.evil.test',
    'mydb.abcd.us-east-1.rds.amazonaws.com.cn',
    'c1.extra.abcd.us-east-1.redshift.amazonaws.com',
    'wg.12345.us-east-1.redshift-serverless.amazonaws.com',
    'wg.123456789012.redshift-serverless.cn-north-1.amazonaws.com.cn',
    '.abcd.us-east-1.rds.amazonaws.com',
    'bucket.s3.us-east-1.amazonaws.com',
  ])('takes %s for self-hosted', (host) => {
    expect(detectEndpoint(host)).toEqual({type: 'self-hosted'})
  })

  it('tells hosts of AWS from look-alikes', () => {
    expect(isAwsHost('x.rds.amazonaws.com')).toBe(true)
    expect(isAwsHost('x.rds.cn-north-1.amazonaws.com.cn')).toBe(true)
    expect(isAwsHost('amazonaws.com.evil.test')).toBe(false)
  })
})

describe('the type of a database', () => {
  it('comes from the endpoint, which fills what is not set', () => {
    expect(
      classifyDatabase({uri: 'c1.abcd.us-west-2.redshift.amazonaws.com:5439', aws: {account_id: '123456789012'}}),
    ).toEqual({
      type: 'redshift',
      aws: {region: 'us-west-2', account_id: '123456789012', redshift: {cluster_id: 'c1'}},
    })
  })

  it('keeps what is set over what the endpoint says', () => {
    const uri = 'inst.abcd.us-west-1.rds.amazonaws.com:5432'
    expect(classifyDatabase({uri, aws: {region: 'us-west-2', rds: {cluster_id: 'c1'}}})).toEqual({
      type: 'rds',
      aws: {region: 'us-west-2', rds: {instance_id: 'inst', cluster_id: 'c1'}},
    })
  })

  it.each([
    ['rds by a region alone', {region: 'us-west-1'}, 'rds'],
    ['rds by a resource id', {rds: {resource_id: 'db-ABC'}}, 'rds'],
    ['redshift before rds', {region: 'us-west-1', redshift: {cluster_id: 'c'}}, 'redshift'],
    ['redshift-serverless by a workgroup', {redshift_serverless: {workgroup_name: 'w'}}, 'redshift-serverless'],
    ['rdsproxy by its name', {region: 'us-west-1', rdsproxy: {name: 'p'}}, 'rdsproxy'],
    ['self-hosted by nothing but an account', {account_id: '123456789012'}, 'self-hosted'],
  ])('is %s', (_, aws, type) => {
    expect(classifyDatabase({uri: 'pg.example.com:5432', aws}).type).toBe(type)
  })

  it('leaves no empty settings for a self-hosted database', () => {
    expect(classifyDatabase({uri: 'pg.example.com:5432'})).toEqual({type: 'self-hosted', aws: {}})
  })

  it('decides the default database name', () => {
    expect(defaultDatabaseName('redshift')).toBe('dev')
    expect(defaultDatabaseName('redshift-serverless')).toBe('dev')
    expect(defaultDatabaseName('rds')).toBeUndefined()
    expect(defaultDatabaseName('self-hosted')).toBeUndefined()
  })
})

describe('database names', () => {
  it.each(['a', 'aurora', 'RDS-proxy', 'db1', 'x'.repeat(63)])('accepts %s', (name) => {
    expect(() => {
      checkDatabaseName(name)
    }).not.toThrow()
  })

  it.each(['', '1db', '-db', 'db-', 'a.b', 'a_b', 'a b', 'ä', 'a\n', 'x'.repeat(64)])('refuses "%s"', (name) => {
    expect(() => {
      checkDatabaseName(name)
    }).toThrow(expect.objectContaining({code: 'INVALID'}))
  })

  it.each([
    ['postgres-aurora-instance-1.abcdefghijklm.us-west-1.rds.amazonaws.com:5432', 'postgres-aurora-instance-1'],
    ['rds-proxy.proxy-abc.us-west-1.rds.amazonaws.com:5432', 'rds-proxy'],
    ['localhost', 'localhost'],
    ['my_db.internal:5432', 'my-db'],
    ['1st.internal:5432', 'db-1st'],
    ['10.0.0.5:5432', 'db-10-0-0-5'],
    ['[::1]:5432', 'db-1'],
    ['-.internal:5432', 'db'],
    [`${'a'.repeat(62)}-b.internal:5432`, 'a'.repeat(62)],
    ['endpoint:port', 'endpoint'],
  ])('suggests a valid name for %s', (endpoint, name) => {
    expect(suggestDatabaseName(endpoint)).toBe(name)
    expect(() => {
      checkDatabaseName(name)
    }).not.toThrow()
  })
})
