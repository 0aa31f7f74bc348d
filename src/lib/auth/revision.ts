/** The revision of a resource: the storage's, and shown in its metadata. */
import type {Resource} from '../resources/resource.js'
import type {Stored} from './records.js'

export function withRevision<T extends Resource>({value, revision}: Stored<T>): T {
  return {...value, metadata: {...value.metadata, revision: String(revision)}}
}

export const unrevised = <T extends Resource>(resource: T): T => ({
  ...resource,
  metadata: withoutRevision(resource.metadata),
})

/** A revision belongs to the storage, not to the value. */
export function withoutRevision<T extends {revision?: string | undefined}>(metadata: T): Omit<T, 'revision'> {
  return Object.fromEntries(Object.entries(metadata).filter(([key]) => key !== 'revision')) as Omit<T, 'revision'>
}
