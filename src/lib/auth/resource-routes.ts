import {z} from 'zod'
import {PosternError} from '../core/errors.js'
import {kinds} from '../resources/kinds.js'
import {parseResource, type Resource} from '../resources/resource.js'
import type {Caller} from './caller.js'
import type {GuardedResources} from './guarded-resources.js'
import {guardedRoute, type Route} from './route.js'

export interface ResourceRouteOptions {
  readonly resources: GuardedResources
}

/** Bytes of one resource. */
export const resourceLimit = 1024 * 1024

/** The same five routes for each kind of resource. */
export function createResourceRoutes({resources}: ResourceRouteOptions): Route[] {
  return kinds.flatMap((kind) => {
    const path = `/v1/resources/${kind}`
    const details = {
      body: z.unknown().transform((document): Resource => parseResource(kind, document)),
      bodyLimit: resourceLimit,
    }
    return [
      guardedRoute(kind, 'list')('GET', path, {}, async ({caller}) => ({items: await resources.list(kind, caller)})),
      guardedRoute(kind, 'read', 'readnosecrets')('GET', `${path}/:name`, {}, async ({caller, parameters}) => ({
        items: await resources.get(kind, parameters.name ?? '', caller),
      })),
      guardedRoute(kind, 'create')('POST', path, details, async ({body, caller}) => {
        await resources.create(body, caller)
        return {created: true}
      }),
      guardedRoute(kind, 'update')('PUT', `${path}/:name`, details, ({body, caller, parameters}) =>
        putResource(resources, body, parameters.name, caller),
      ),
      guardedRoute(kind, 'delete')('DELETE', `${path}/:name`, {}, ({caller, parameters}) =>
        resources.delete(kind, parameters.name ?? '', caller),
      ),
    ]
  })
}

async function putResource(
  resources: GuardedResources,
  resource: Resource,
  name: string | undefined,
  caller: Caller,
): Promise<{created: boolean}> {
  if (resource.metadata.name !== name) {
    throw new PosternError('INVALID', 'The name in the resource is not the one in the address.')
  }
  return {created: await resources.put(resource, caller)}
}
