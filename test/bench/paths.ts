import type {PathDefinition} from './path.js'
import {peers} from './peers.js'
import {knows, startPostern, type ClusterOptions} from './postern-cluster.js'

const here = (): Promise<string | undefined> => Promise.resolve(undefined)

/** A path that needs keys of the configuration which older versions refuse. */
const needs =
  (...settings: ['proxy_service' | 'db_service', string][]) =>
  (): Promise<string | undefined> => {
    const lacking = settings.find(([section, setting]) => !knows(section, setting))
    return Promise.resolve(lacking && `this version has no ${lacking[0]}.${lacking[1].split(':')[0] ?? ''}`)
  }

const postern = (
  name: string,
  description: string,
  options: ClusterOptions,
  missing: PathDefinition['missing'] = here,
): PathDefinition => ({name, description, missing, start: (place) => startPostern(place, options)})

const workers = 2
const workerKey: ['proxy_service', string] = ['proxy_service', `workers: ${workers}`]
const inAgent = knows('db_service', `workers: ${workers}`)
const directKey: ['db_service', string] = ['db_service', "direct_addr: '127.0.0.1:1'"]

const ours: readonly PathDefinition[] = [
  postern('postern', 'local port, proxy, agent: three processes, TLS 1.3 on every leg, audit on', {}),
  postern('postern-socket', 'the same, entered through the private socket of db connect and --exec', {
    entrance: 'socket',
  }),
  postern(
    'postern-workers',
    `${inAgent ? 'proxy and agent' : 'proxy'} with ${workers} workers`,
    {workers},
    needs(workerKey),
  ),
  postern(
    'postern-direct',
    'straight to the agent, through the private socket: two processes',
    {direct: true, entrance: 'socket'},
    needs(directKey),
  ),
]

/** Ways that start like any other and are measured by the workload `wan` alone. */
export const distantPath = (distance: number): PathDefinition =>
  postern('postern-socket', `the same, ${distance} ms there and back on either side of the proxy`, {
    distance,
    entrance: 'socket',
  })

/** For the workload `audit` alone. */
export const recordedPath = (recording: string): PathDefinition =>
  postern('postern', `sessions are recorded in the mode ${recording}`, {recording})

const [direct, ...others] = peers
export const pathDefinitions: readonly PathDefinition[] = [...(direct ? [direct] : []), ...ours, ...others]

export const isOurs = (name: string): boolean => name.startsWith('postern')
