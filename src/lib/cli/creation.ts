import type {ApiClient} from '../api/client.js'
import {PosternError} from '../core/errors.js'
import type {Kind} from '../resources/kinds.js'
import type {Resource} from '../resources/resource.js'
import {describeResource} from './resource-text.js'

export interface CreatedResource {
  readonly kind: Kind
  readonly name: string
  readonly action: 'created' | 'updated'
}

interface CreationOptions {
  /** Replace what exists. */
  readonly force: boolean
  /** Told after each, since the next one may fail. */
  readonly onCreated: (created: CreatedResource) => void
}

/** Creates resources one after the other. @throws PosternError ALREADY_EXISTS, or the first other failure */
export async function createResources(
  client: ApiClient,
  resources: readonly Resource[],
  {force, onCreated}: CreationOptions,
): Promise<CreatedResource[]> {
  const all: CreatedResource[] = []
  for (const resource of resources) {
    const {created} = force ? await client.putResource(resource) : await createOne(client, resource)
    const result = {kind: resource.kind, name: resource.metadata.name, action: created ? 'created' : 'updated'} as const
    onCreated(result)
    all.push(result)
  }
  return all
}

async function createOne(client: ApiClient, resource: Resource): Promise<{created: boolean}> {
  try {
    return await client.createResource(resource)
  } catch (error) {
    if (!(error instanceof PosternError) || error.code !== 'ALREADY_EXISTS') throw error
    const what = describeResource(resource.kind, resource.metadata.name)
    throw new PosternError('ALREADY_EXISTS', `${what} exists already.`, {
      cause: error,
      hint: 'Add -f (--force) to replace it.',
    })
  }
}
