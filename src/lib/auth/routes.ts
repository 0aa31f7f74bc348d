import {createHostRoutes, type HostRouteOptions} from './host-routes.js'
import {createPublicRoutes, type PublicRouteOptions} from './public-routes.js'
import {createResourceRoutes, type ResourceRouteOptions} from './resource-routes.js'
import type {Route} from './route.js'
import {createUserRoutes, type UserRouteOptions} from './user-routes.js'

export interface RouteOptions extends PublicRouteOptions, UserRouteOptions, ResourceRouteOptions, HostRouteOptions {}

/** The API, with who may call what (api/client.ts is the other end). */
export function createRoutes(options: RouteOptions): Route[] {
  return [
    ...createPublicRoutes(options),
    ...createUserRoutes(options),
    ...createResourceRoutes(options),
    ...createHostRoutes(options),
  ]
}
