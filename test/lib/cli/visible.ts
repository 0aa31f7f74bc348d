import type {VisibleDatabase} from '../../../src/lib/api/responses.js'

interface Wanted {
  readonly name?: string
  readonly description?: string
  readonly labels?: Record<string, string>
  readonly type?: string
  readonly users?: readonly string[]
  readonly deniedUsers?: readonly string[]
  readonly names?: readonly string[]
  readonly deniedNames?: readonly string[]
}

/** A database as the control plane lists it. */
export function visible(wanted: Wanted = {}): VisibleDatabase {
  return {
    database: {
      kind: 'db',
      version: 'v3',
      metadata: {
        name: wanted.name ?? 'orders',
        ...(wanted.description === undefined ? {} : {description: wanted.description}),
        labels: wanted.labels ?? {},
      },
      spec: {protocol: 'postgres', uri: 'db.example.com:5432'},
    },
    type: wanted.type ?? 'self-hosted',
    users: {allowed: wanted.users ?? ['*'], denied: wanted.deniedUsers ?? []},
    names: {allowed: wanted.names ?? ['*'], denied: wanted.deniedNames ?? []},
    health: 'healthy',
  }
}
