/** Which registered databases a discovery service creates, changes and removes after looking into AWS. Asks nobody; pure. */
import {isDeepStrictEqual} from 'node:util'
import {fingerprintOf, type Found, type Matcher, type Survey} from '../aws/survey.js'
import type {Database} from '../resources/database.js'

/** Which matcher registered a database: others of the group leave to it what is its own to say. */
const matcherLabel = 'postern.internal/discovery-matcher'

export interface Reconciliation {
  /** New ones, and those that differ. */
  readonly put: readonly Database[]
  /** AWS says that they are gone, or they match no more. */
  readonly remove: readonly Database[]
}

export interface ReconciliationRequest {
  /** What the group has registered. */
  readonly registered: readonly Database[]
  readonly survey: Survey
  readonly matchers: readonly Matcher[]
}

export function reconcile({registered, survey, matchers}: ReconciliationRequest): Reconciliation {
  const known = new Map(registered.map((database) => [database.metadata.name.toLowerCase(), database]))
  const ours = new Set(matchers.map(fingerprintOf))
  const put: Database[] = []
  for (const found of survey.found) {
    const before = known.get(found.database.metadata.name.toLowerCase())
    const wanted = mark(found)
    const next = before && !ours.has(ownerOf(before)) ? share(before, wanted, found) : wanted
    if (next && !(before && isSame(before, next))) put.push(next)
  }
  const names = new Set(survey.found.map(({database}) => database.metadata.name.toLowerCase()))
  const remove = registered.filter((database) => {
    if (names.has(database.metadata.name.toLowerCase())) return false
    const standing = survey.standingOf(database)
    return standing === 'gone' || (standing === 'unwanted' && ours.has(ownerOf(database)))
  })
  return {put, remove}
}

function mark({database, matcher}: Found): Database {
  const {metadata} = database
  return {...database, metadata: {...metadata, labels: {...metadata.labels, [matcherLabel]: fingerprintOf(matcher)}}}
}

const ownerOf = ({metadata}: Database): string => metadata.labels?.[matcherLabel] ?? ''

/**
 * What another matcher of the group registered: what AWS says is taken up, and how it is reached stays as that one says, or
 * the two would change it back and forth.
 */
function share(before: Database, wanted: Database, {candidate}: Found): Database | undefined {
  // That one may see the tags.
  if (candidate.tagsDenied === true) return undefined
  const {assume_role_arn, external_id} = before.spec.aws ?? {}
  return {
    ...wanted,
    metadata: {...wanted.metadata, labels: {...wanted.metadata.labels, [matcherLabel]: ownerOf(before)}},
    spec: {...wanted.spec, aws: {...wanted.spec.aws, assume_role_arn, external_id}},
  }
}

const groupLabel = 'postern.internal/discovery-group-name'

/** The group's own label is the control plane's to write. */
function isSame(one: Database, other: Database): boolean {
  const facts = ({metadata: {name, description, labels = {}}, spec}: Database): unknown => {
    const own = Object.entries(labels).filter(([key]) => key !== groupLabel)
    return JSON.parse(JSON.stringify({name, description, own: Object.fromEntries(own), spec}))
  }
  return isDeepStrictEqual(facts(one), facts(other))
}
