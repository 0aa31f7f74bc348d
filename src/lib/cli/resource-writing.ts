import type {ApiClient} from '../api/client.js'
import {PosternError} from '../core/errors.js'
import type {Kind} from '../resources/kinds.js'
import type {Resource} from '../resources/resource.js'
import {describeResource} from './resource-text.js'

export interface WrittenResource {
  readonly kind: Kind
  readonly name: string
  readonly action: 'created' | 'updated'
}

/** How a resource is saved, and what that made of it. */
type Write = (client: ApiClient, resource: Resource) => Promise<WrittenResource['action']>

/** Saves resources one after the other. @param onWritten told after each, since the next one may fail */
export async function writeResources(
  client: ApiClient,
  resources: readonly Resource[],
  {write, onWritten}: {readonly write: Write; readonly onWritten: (written: WrittenResource) => void},
): Promise<WrittenResource[]> {
  const all: WrittenResource[] = []
  for (const resource of resources) {
    const {kind, metadata} = resource
    const written = {kind, name: metadata.name, action: await write(client, resource)}
    onWritten(written)
    all.push(written)
  }
  return all
}

/** @throws PosternError ALREADY_EXISTS */
export const createResource: Write = async (client, resource) => {
  try {
    await client.createResource(resource)
    return 'created'
  } catch (error) {
    if (!(error instanceof PosternError) || error.code !== 'ALREADY_EXISTS') throw error
    const what = describeResource(resource.kind, resource.metadata.name)
    throw new PosternError('ALREADY_EXISTS', `${what} exists already.`, {
      cause: error,
      hint: 'Add -f (--force) to replace it.',
    })
  }
}

/**
 * Creates or replaces: the revision that the resource carries, or whatever is there. One that is gone is made anew:
 * nobody's change is lost by that.
 * @throws PosternError CONFLICT when it was changed since that revision
 */
export const createOrReplace: Write = async (client, resource) => {
  try {
    return (await client.putResource(resource)).created ? 'created' : 'updated'
  } catch (error) {
    const isGone = error instanceof PosternError && error.code === 'NOT_FOUND'
    if (!isGone || resource.metadata.revision === undefined) throw error
    await client.createResource(resource)
    return 'created'
  }
}

/**
 * Replaces what exists: the revision that the resource carries, or the one that is there now.
 * @throws PosternError NOT_FOUND, CONFLICT when it was changed since that revision
 */
export const replaceResource: Write = async (client, resource) => {
  if (resource.kind === 'db_server') throw announcedOnly()
  const {kind, metadata} = resource
  const revision = metadata.revision ?? (await currentRevision(client, kind, metadata.name))
  await client.putResource({...resource, metadata: {...metadata, revision}})
  return 'updated'
}

async function currentRevision(client: ApiClient, kind: Kind, name: string): Promise<string | undefined> {
  const {items} = await client.getResource(kind, name)
  return items[0]?.metadata.revision
}

export function announcedOnly(): PosternError {
  return new PosternError('USAGE', 'A database server is what an agent announces; it cannot be changed.', {
    hint: 'Change the db resource, or the configuration of the agent.',
  })
}
