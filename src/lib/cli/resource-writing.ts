import type {ApiClient} from '../api/client.js'
import {PosternError} from '../core/errors.js'
import type {Kind} from '../resources/kinds.js'
import type {Resource} from '../resources/resource.js'
import {readResourceText} from './input.js'
import {describeResource} from './resource-text.js'
import type {Connection} from './user-login.js'

export interface WrittenResource {
  readonly kind: Kind
  readonly name: string
  readonly action: 'created' | 'updated'
}

/** How a resource is saved, and what that made of it. */
type Write = (client: ApiClient, resource: Resource) => Promise<WrittenResource['action']>

/**
 * Saves the resources of a file, or of standard input, one after the other.
 * @param connect asked when the text could be read
 * @param onWritten told after each, since the next one may fail
 * @throws PosternError NOT_FOUND, INVALID, or what `write` throws
 */
export async function writeResources(
  file: string | undefined,
  connect: () => Promise<Connection>,
  {write, onWritten}: {readonly write: Write; readonly onWritten: (written: WrittenResource) => void},
): Promise<WrittenResource[]> {
  const text = await readResourceText(file)
  const {parseDocuments} = await import('../resources/document.js')
  const resources = parseDocuments(text)
  const connection = await connect()
  return connection.ask(async (client) => {
    const all: WrittenResource[] = []
    for (const resource of resources) {
      const {kind, metadata} = resource
      const written = {kind, name: metadata.name, action: await write(client, resource)}
      onWritten(written)
      all.push(written)
    }
    return all
  })
}

/** `role "db" has been updated` */
export const describeWritten = ({kind, name, action}: WrittenResource): string =>
  `${describeResource(kind, name)} has been ${action}`

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
