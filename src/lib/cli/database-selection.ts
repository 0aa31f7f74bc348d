import type {VisibleDatabase} from '../api/responses.js'
import {PosternError} from '../core/errors.js'
import {formatLabels, type Labels} from '../core/labels.js'

/** Which database a command is about; without anything, the one that is in use. */
export interface DatabaseSelector {
  readonly name?: string | undefined
  readonly labels?: Labels | undefined
}

/** Holds the name that a discovered database has in its cloud, where the resource's own name is longer. */
export const discoveredNameLabel = 'postern.internal/discovered-name'

export function isEmpty({name, labels}: DatabaseSelector): boolean {
  return name === undefined && Object.keys(labels ?? {}).length === 0
}

/**
 * The one database that the selector means: its exact name wins over the name in the cloud.
 * @throws PosternError NOT_FOUND, or USAGE when several match
 */
export function selectDatabase(databases: readonly VisibleDatabase[], selector: DatabaseSelector): VisibleDatabase {
  const labelled = databases.filter(({database}) => hasLabels(database.metadata.labels ?? {}, selector.labels ?? {}))
  const [first, ...others] = byName(labelled, selector.name)
  if (!first) {
    throw new PosternError('NOT_FOUND', `There is no ${describe(selector)} that you may see.`, {
      hint: 'Run `postern db ls` to list the databases you may connect to.',
    })
  }
  if (others.length > 0) {
    const names = [first, ...others].map(({database}) => database.metadata.name).sort()
    throw new PosternError('USAGE', `Several databases match ${describe(selector)}: ${names.join(', ')}.`, {
      hint: [
        'Give the full name of one of them, or narrow it with --labels.',
        'Run `postern db ls -v` to compare them.',
      ],
    })
  }
  return first
}

function byName(databases: readonly VisibleDatabase[], name: string | undefined): readonly VisibleDatabase[] {
  if (name === undefined) return databases
  const wanted = name.toLowerCase()
  const exact = databases.filter(({database}) => database.metadata.name.toLowerCase() === wanted)
  if (exact.length > 0) return exact
  return databases.filter(({database}) => database.metadata.labels?.[discoveredNameLabel]?.toLowerCase() === wanted)
}

/** Whether all wanted labels are there with these values. */
export function hasLabels(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value)
}

function describe({name, labels}: DatabaseSelector): string {
  const withLabels = labels && Object.keys(labels).length > 0 ? ` with labels ${formatLabels(labels)}` : ''
  return `database${name === undefined ? '' : ` "${name}"`}${withLabels}`
}
