/** Redshift Serverless (API Reference 2021-04-21): describing workgroups, and giving out passwords for their databases. */
import type {ApiService} from './api-call.js'
import {requirePermission} from './authorization.js'
import type {Workgroup} from './databases.js'
import {Fault} from './fault.js'
import {jsonService, type JsonCall} from './json-service.js'
import {dbUserOf} from './redshift.js'
import {issueCredential} from './redshift-credentials.js'
import {paginate} from './page.js'

const defaultPageSize = 100
const credentialSeconds = 900
/** Its passwords are signed tokens of several KiB; what cuts them at 1024 characters must show. */
const passwordBytes = 3000

export const redshiftServerless: ApiService = jsonService('RedshiftServerless', {
  GetWorkgroup: (call) => ({workgroup: describe(findWorkgroup(call, 'GetWorkgroup'))}),
  ListWorkgroups: listWorkgroups,
  GetEndpointAccess: getEndpoint,
  ListEndpointAccess: listEndpoints,
  ListTagsForResource: listTags,
  GetCredentials: getCredentials,
})

type Json = Readonly<Record<string, unknown>>
type Endpoint = Workgroup['endpoints'][number]

/** @throws Fault AccessDenied */
function allow({world, principal}: JsonCall, action: string, resource: string): void {
  requirePermission(world, principal, {action: `redshift-serverless:${action}`, resource})
}

const anyOf = ({account, region}: JsonCall, kind: string): string =>
  `arn:aws:redshift-serverless:${region}:${account.id}:${kind}/*`

const here = ({account, region}: JsonCall): Workgroup[] => account.workgroups.filter((one) => one.region === region)

const notFound = (message: string): Fault => new Fault('ResourceNotFoundException', 404, message)

function textOf({input}: JsonCall, name: string): string | undefined {
  const value = input[name]
  return typeof value === 'string' ? value : undefined
}

function required(call: JsonCall, name: string): string {
  const value = textOf(call, name)
  if (value === undefined) throw new Fault('ValidationException', 400, `${name} is missing`)
  return value
}

function page<T>(call: JsonCall, all: readonly T[], write: (items: readonly T[]) => Json): Json {
  const size = typeof call.input.maxResults === 'number' ? call.input.maxResults : defaultPageSize
  const {items, marker} = paginate(all, textOf(call, 'nextToken'), size)
  return {...write(items), nextToken: marker}
}

/** @throws Fault AccessDenied, ResourceNotFoundException */
function findWorkgroup(call: JsonCall, action: string): Workgroup {
  const name = required(call, 'workgroupName')
  const workgroup = here(call).find((one) => one.name === name)
  allow(call, action, workgroup?.arn ?? anyOf(call, 'workgroup'))
  if (!workgroup) throw notFound(`Could not find Workgroup ${name}.`)
  return workgroup
}

function describe(workgroup: Workgroup): Json {
  const vpcEndpoints = workgroup.endpoints.map(() => ({
    vpcEndpointId: 'vpce-0a1b2c3d4e5f60714',
    vpcId: 'vpc-0a1b2c3d4e5f60718',
  }))
  return {
    workgroupId: workgroup.id,
    workgroupArn: workgroup.arn,
    workgroupName: workgroup.name,
    namespaceName: workgroup.namespace,
    status: 'AVAILABLE',
    endpoint: {address: workgroup.host, port: workgroup.port, vpcEndpoints},
    port: workgroup.port,
    publiclyAccessible: false,
    baseCapacity: 8,
  }
}

function listWorkgroups(call: JsonCall): Json {
  allow(call, 'ListWorkgroups', anyOf(call, 'workgroup'))
  return page(call, here(call), (items) => ({workgroups: items.map(describe)}))
}

interface Access {
  readonly workgroup: Workgroup
  readonly endpoint: Endpoint
}

const accessesOf = (call: JsonCall): Access[] =>
  here(call).flatMap((workgroup) => workgroup.endpoints.map((endpoint) => ({workgroup, endpoint})))

const describeAccess = ({workgroup, endpoint}: Access): Json => ({
  endpointName: endpoint.name,
  endpointArn: endpoint.arn,
  endpointStatus: 'ACTIVE',
  workgroupName: workgroup.name,
  address: endpoint.host,
  port: workgroup.port,
  vpcEndpoint: {vpcEndpointId: 'vpce-0a1b2c3d4e5f60714', vpcId: 'vpc-0a1b2c3d4e5f60718'},
})

function getEndpoint(call: JsonCall): Json {
  const name = required(call, 'endpointName')
  const access = accessesOf(call).find(({endpoint}) => endpoint.name === name)
  allow(call, 'GetEndpointAccess', access?.endpoint.arn ?? anyOf(call, 'managedvpcendpoint'))
  if (!access) throw notFound(`Could not find EndpointAccess ${name}.`)
  return {endpoint: describeAccess(access)}
}

function listEndpoints(call: JsonCall): Json {
  allow(call, 'ListEndpointAccess', anyOf(call, 'managedvpcendpoint'))
  const workgroupName = textOf(call, 'workgroupName')
  const found = accessesOf(call).filter(
    ({workgroup}) => workgroupName === undefined || workgroup.name === workgroupName,
  )
  return page(call, found, (items) => ({endpoints: items.map(describeAccess)}))
}

function listTags(call: JsonCall): Json {
  const arn = required(call, 'resourceArn')
  allow(call, 'ListTagsForResource', arn)
  const workgroup = here(call).find((one) => one.arn === arn)
  if (!workgroup && !accessesOf(call).some(({endpoint}) => endpoint.arn === arn))
    throw notFound(`Could not find resource ${arn}.`)
  return {tags: Array.from(workgroup?.tags ?? [], ([key, value]) => ({key, value}))}
}

function getCredentials(call: JsonCall): Json {
  const workgroup = findWorkgroup(call, 'GetCredentials')
  const seconds = typeof call.input.durationSeconds === 'number' ? call.input.durationSeconds : credentialSeconds
  const grant = {
    server: workgroup.arn,
    dbUser: dbUserOf(call.principal),
    database: textOf(call, 'dbName'),
    autoCreate: true,
  }
  const {dbUser, password, expires} = issueCredential(call.world, grant, passwordBytes, seconds * 1000)
  // Times of the JSON protocol are seconds since 1970.
  return {dbUser, dbPassword: password.reveal(), expiration: expires / 1000, nextRefreshTime: expires / 1000}
}
