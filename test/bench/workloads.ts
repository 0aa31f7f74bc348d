import {auditWorkload, playWorkload} from './workloads/audit.js'
import {bulkWorkloads} from './workloads/bulk.js'
import {sustainedWorkload, wanWorkload} from './workloads/connects.js'
import {idleWorkload} from './workloads/idle.js'
import {pgbenchWorkloads} from './workloads/pgbench.js'
import {pingWorkload} from './workloads/ping.js'
import {cliWorkload, psqlWorkload} from './workloads/starts.js'
import type {Workload} from './workload.js'

export const workloads: readonly Workload[] = [
  ...pgbenchWorkloads,
  ...bulkWorkloads,
  pingWorkload,
  psqlWorkload,
  cliWorkload,
  idleWorkload,
  auditWorkload,
  playWorkload,
  wanWorkload,
  sustainedWorkload,
]
