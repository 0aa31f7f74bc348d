/** Builds a fake account's databases, under names and ids like AWS's. */
import {createHash} from 'node:crypto'
import {Secret} from '../core/secret.js'
import type {Cluster, Database, Databases, Instance, Proxy, RdsServer, RedshiftCluster, Workgroup} from './databases.js'
import type {
  AccountDefinition,
  CertificateKind,
  ClusterDefinition,
  InstanceDefinition,
  ProxyDefinition,
  RedshiftClusterDefinition,
  WorkgroupDefinition,
} from './definition.js'

const defaultPorts = {postgres: 5432, redshift: 5439} as const

/** Letters that look like AWS's, always the same for the same seed. */
function plausible(seed: string, alphabet: string, length: number): string {
  const bytes = createHash('sha512').update(seed).digest()
  return Array.from(bytes.subarray(0, length), (byte) => alphabet[byte % alphabet.length]).join('')
}

const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const lowerCase = 'abcdefghijklmnopqrstuvwxyz0123456789'
const hexadecimal = '0123456789abcdef'
const resourceIdLetters = 26
const endpointIdLetters = 12

/** The databases of one account. */
export function createDatabases(account: AccountDefinition): Databases {
  const place = new Place(account)
  const clusters = (account.clusters ?? []).map((definition) => place.cluster(definition))
  return {
    instances: [
      ...(account.instances ?? []).map((definition) => place.instance(definition)),
      ...clusters.flatMap((cluster) => cluster.members.map((id) => place.member(cluster, id))),
    ],
    clusters,
    proxies: (account.proxies ?? []).map((definition) => place.proxy(definition)),
    redshiftClusters: (account.redshiftClusters ?? []).map((definition) => place.redshift(definition)),
    workgroups: (account.workgroups ?? []).map((definition) => place.workgroup(definition)),
  }
}

interface Common {
  readonly region: string
  readonly tags?: Readonly<Record<string, string>>
  readonly requireTls?: boolean
  readonly certificate?: CertificateKind
}

/** Names things the way AWS does in one account. */
class Place {
  readonly #account: string
  readonly #endpointId: string | undefined

  constructor({id, endpointId}: AccountDefinition) {
    this.#account = id
    this.#endpointId = endpointId
  }

  instance(definition: InstanceDefinition): Instance {
    return {...this.#server(definition, 'db'), host: this.#rdsHost(definition.id, '', definition.region)}
  }

  member(cluster: Cluster, id: string): Instance {
    const {host, ...server} = this.instance({id, region: cluster.region, port: cluster.port})
    return {...server, tags: new Map(cluster.tags), certificate: cluster.certificate, host, clusterId: cluster.id}
  }

  cluster(definition: ClusterDefinition): Cluster {
    const {id, region, members = [`${id}-instance-1`], customEndpoints = []} = definition
    return {
      ...this.#server(definition, 'cluster'),
      host: this.#rdsHost(id, 'cluster-', region),
      readerHost: this.#rdsHost(id, 'cluster-ro-', region),
      members,
      customEndpoints: customEndpoints.map((name) => ({name, host: this.#rdsHost(name, 'cluster-custom-', region)})),
    }
  }

  proxy(definition: ProxyDefinition): Proxy {
    const {name, region, secrets, endpoints = []} = definition
    const resourceId = definition.resourceId ?? `prx-${this.#id(`prx/${name}`, hexadecimal, 17)}`
    return {
      ...this.#common(definition),
      name,
      resourceId,
      arn: this.#arn('rds', region, `db-proxy:${resourceId}`),
      // The proxy's own port, whatever the port of the database behind it.
      port: defaultPorts.postgres,
      host: this.#rdsHost(name, 'proxy-', region),
      secrets: new Map(
        secrets.map(({user, password, iam = 'REQUIRED'}) => [user, {password: new Secret(password), iam}]),
      ),
      endpoints: endpoints.map(({name: endpoint, readOnly = false}) => ({
        name: endpoint,
        host: this.#rdsHost(`${endpoint}.endpoint`, 'proxy-', region),
        arn: this.#arn(
          'rds',
          region,
          `db-proxy-endpoint:prx-endpoint-${this.#id(`${name}/${endpoint}`, hexadecimal, 17)}`,
        ),
        readOnly,
      })),
    }
  }

  redshift(definition: RedshiftClusterDefinition): RedshiftCluster {
    const {id, region, port = defaultPorts.redshift} = definition
    const host = `${id}.${this.#endpoint(region)}.${region}.redshift.amazonaws.com`
    return {
      ...this.#common(definition),
      id,
      port,
      host,
      arn: this.#arn('redshift', region, `namespace:${this.#uuid(id)}`),
    }
  }

  workgroup(definition: WorkgroupDefinition): Workgroup {
    const {name, region, namespace = name, port = defaultPorts.redshift, endpoints = []} = definition
    const id = definition.id ?? this.#uuid(`workgroup/${name}`)
    const hostOf = (label: string): string => `${label}.${this.#account}.${region}.redshift-serverless.amazonaws.com`
    return {
      ...this.#common(definition),
      id,
      name,
      namespace,
      port,
      host: hostOf(name),
      arn: this.#arn('redshift-serverless', region, `workgroup/${id}`),
      endpoints: endpoints.map((endpoint) => ({
        name: endpoint,
        host: hostOf(`${endpoint}-endpoint-${this.#id(endpoint, lowerCase, endpointIdLetters)}`),
        arn: this.#arn('redshift-serverless', region, `managedvpcendpoint/${this.#uuid(endpoint)}`),
      })),
    }
  }

  #server(definition: InstanceDefinition, kind: 'db' | 'cluster'): RdsServer {
    const {id, region, resourceId, port = defaultPorts.postgres, iamAuthentication = true} = definition
    return {
      ...this.#common(definition),
      id,
      port,
      iamAuthentication,
      resourceId: resourceId ?? `${kind}-${this.#id(`${kind}/${id}`, base32, resourceIdLetters)}`,
      arn: this.#arn('rds', region, `${kind}:${id}`),
    }
  }

  #common({region, tags = {}, requireTls = true, certificate = 'current'}: Common): Omit<Database, 'arn' | 'port'> {
    return {account: this.#account, region, tags: new Map(Object.entries(tags)), requireTls, certificate}
  }

  #arn(service: string, region: string, resource: string): string {
    return `arn:aws:${service}:${region}:${this.#account}:${resource}`
  }

  #rdsHost(name: string, prefix: string, region: string): string {
    return `${name}.${prefix}${this.#endpoint(region)}.${region}.rds.amazonaws.com`
  }

  #endpoint(region: string): string {
    return this.#endpointId ?? `c${plausible(`${this.#account}/${region}`, lowerCase, endpointIdLetters - 1)}`
  }

  #id(seed: string, alphabet: string, length: number): string {
    return plausible(`${this.#account}/${seed}`, alphabet, length)
  }

  #uuid(seed: string): string {
    const digits = this.#id(seed, hexadecimal, 32)
    return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  }
}
