import type {VisibleDatabase} from '../api/responses.js'
import type {StoredRoute} from '../config/database-certificates.js'
import {formatLabels} from '../core/labels.js'
import {nameCommands} from './calling-name.js'
import {discoveredNameLabel} from './database-selection.js'
import {fitColumn, renderTable} from './table.js'

export interface ListingOptions {
  readonly verbose: boolean
  /** What there are certificates for. */
  readonly active: readonly StoredRoute[]
  /** Columns of the terminal; undefined where the output goes elsewhere, and nothing is cut. */
  readonly width?: number | undefined
}

interface Column {
  readonly title: string
  readonly cell: (database: VisibleDatabase, active: StoredRoute | undefined, options: ListingOptions) => string
}

const nameColumn: Column = {
  title: 'Name',
  cell: ({database}, active, {verbose}) => {
    const {name, labels} = database.metadata
    const shown = (verbose ? undefined : labels?.[discoveredNameLabel]) ?? name
    return active ? `> ${shown} (user: ${active.dbUser}, db: ${active.dbName})` : shown
  },
}
const descriptionColumn: Column = {title: 'Description', cell: ({database}) => database.metadata.description ?? ''}
const labelsColumn: Column = {
  title: 'Labels',
  cell: ({database}, _active, {verbose}) => formatLabels(database.metadata.labels ?? {}, {all: verbose}),
}
const connectColumn: Column = {
  title: 'Connect',
  cell: (_database, active) => (active ? nameCommands(`postern db connect ${active.database}`) : ''),
}
const verboseColumns: readonly Column[] = [
  {title: 'Protocol', cell: ({database}) => database.spec.protocol},
  {title: 'Type', cell: ({type}) => type},
  {title: 'URI', cell: ({database}) => database.spec.uri},
  {title: 'Allowed Users', cell: ({users}) => renderAllowed(users)},
  {title: 'Health', cell: ({health}) => health},
]

/** The table of `db ls`: what the guides show, what is in use, and with -v the rest. */
export async function renderDatabases(databases: readonly VisibleDatabase[], options: ListingOptions): Promise<string> {
  const columns = [
    nameColumn,
    descriptionColumn,
    ...(options.verbose ? verboseColumns : []),
    labelsColumn,
    ...(options.active.length > 0 ? [connectColumn] : []),
  ]
  const head = columns.map(({title}) => title)
  const rows = databases.map((database) => {
    const active = options.active.find((route) => route.database === database.database.metadata.name)
    return columns.map(({cell}) => cell(database, active, options))
  })
  const {width, verbose} = options
  if (verbose || width === undefined) return renderTable(head, rows)
  return renderTable(head, await fitColumn(rows, {head, width, column: columns.indexOf(labelsColumn)}))
}

/** `[*]`, `[* alice], except: [postgres]`, `(none)` */
function renderAllowed({allowed, denied}: VisibleDatabase['users']): string {
  if (allowed.length === 0) return '(none)'
  return `[${allowed.join(' ')}]${denied.length > 0 ? `, except: [${denied.join(' ')}]` : ''}`
}

/** One database as `db ls --format json` shows it: the resource, and what the caller may do with it. */
type DatabaseData = VisibleDatabase['database'] & Omit<VisibleDatabase, 'database'>

export function databaseData({database, type, users, names, health}: VisibleDatabase): DatabaseData {
  return {...database, type, health, users, names}
}

/** Databases in which every word occurs. */
export function searchDatabases(databases: readonly VisibleDatabase[], words: readonly string[]): VisibleDatabase[] {
  return databases.filter((database) => hasWords(database, words))
}

/** Whether every word occurs in the name, the description, a label, the protocol, the type or the address. */
export function hasWords(
  {database: {metadata, spec}, type}: Pick<VisibleDatabase, 'database' | 'type'>,
  words: readonly string[],
): boolean {
  const labels = Object.entries(metadata.labels ?? {}).flat()
  const parts = [metadata.name, metadata.description ?? '', spec.protocol, type, spec.uri, ...labels]
  const text = parts.join('\n').toLowerCase()
  return words.every((word) => text.includes(word.toLowerCase()))
}
