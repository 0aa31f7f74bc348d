import * as requests from '../api/requests.js'
import type {AccessExplainer} from './access-explainer.js'
import {memberRoute, type Route} from './route.js'

/** Why somebody gets in or not. Whom it is about matters besides roles, so the explainer decides who may ask. */
export function createAccessRoutes(explainer: AccessExplainer): Route[] {
  return [
    memberRoute('POST', '/v1/access/explain', {body: requests.explainAccessRequest}, ({body, caller}) =>
      explainer.before(body, caller),
    ),
    memberRoute('GET', '/v1/access/decisions/:id', {}, ({caller, parameters}) =>
      explainer.decision(parameters.id ?? '', caller),
    ),
  ]
}
