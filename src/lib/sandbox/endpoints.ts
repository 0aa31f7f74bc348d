/** Every name under which the world's databases can be reached. */
import type {CertificateKind} from './definition.js'
import type {DatabaseType} from '../resources/endpoint.js'
import type {Cluster, Instance, Proxy, RdsServer, RedshiftCluster, Workgroup} from './databases.js'
import type {World} from './world.js'

export type EndpointType = Exclude<DatabaseType, 'self-hosted'>

interface Endpoint {
  readonly host: string
  readonly port: number
  /** What its certificate is for. */
  readonly names: readonly string[]
  readonly certificate: CertificateKind
}

export type DatabaseEndpoint = Endpoint &
  (
    | {readonly type: 'rds'; readonly server: RdsServer}
    | {readonly type: 'rdsproxy'; readonly proxy: Proxy}
    | {readonly type: 'redshift'; readonly server: RedshiftCluster}
    | {readonly type: 'redshift-serverless'; readonly server: Workgroup}
  )

export function listEndpoints({accounts}: World): DatabaseEndpoint[] {
  return Array.from(accounts.values()).flatMap(({instances, clusters, proxies, redshiftClusters, workgroups}) => [
    ...instances.filter(({clusterId}) => clusterId === undefined).map(ofInstance),
    ...clusters.flatMap((cluster) => ofCluster(cluster, instances)),
    ...proxies.flatMap(ofProxy),
    ...redshiftClusters.map(ofRedshift),
    ...workgroups.flatMap(ofWorkgroup),
  ])
}

function ofInstance(instance: Instance): DatabaseEndpoint {
  const {host, port, certificate} = instance
  return {type: 'rds', server: instance, host, port, names: [host], certificate}
}

/** A member's certificate covers its own name and the cluster's, but no custom endpoint's. */
function ofCluster(cluster: Cluster, instances: readonly Instance[]): DatabaseEndpoint[] {
  const {id, region, host, readerHost, port, certificate, customEndpoints} = cluster
  const members = instances.filter((instance) => instance.clusterId === id && instance.region === region)
  const memberHosts = members.map((member) => member.host)
  const names = [host, readerHost, ...memberHosts]
  const hosts = [...names, ...customEndpoints.map((endpoint) => endpoint.host)]
  return hosts.map((name) => ({type: 'rds', server: cluster, host: name, port, names, certificate}))
}

/** The certificate is for the proxy's default endpoint only. */
function ofProxy(proxy: Proxy): DatabaseEndpoint[] {
  const {host, port, certificate, endpoints} = proxy
  const hosts = [host, ...endpoints.map((endpoint) => endpoint.host)]
  return hosts.map((name) => ({type: 'rdsproxy', proxy, host: name, port, names: [host], certificate}))
}

const wildcardOf = (host: string): string => host.replace(/^[^.]+/, '*')

function ofRedshift(server: RedshiftCluster): DatabaseEndpoint {
  const {host, port, certificate} = server
  return {type: 'redshift', server, host, port, names: [wildcardOf(host)], certificate}
}

function ofWorkgroup(server: Workgroup): DatabaseEndpoint[] {
  const {host, port, certificate, endpoints} = server
  const hosts = [host, ...endpoints.map((endpoint) => endpoint.host)]
  return hosts.map((name) => {
    return {type: 'redshift-serverless', server, host: name, port, names: [wildcardOf(host)], certificate}
  })
}
