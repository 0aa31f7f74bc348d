import type {VisibleDatabase} from '../api/responses.js'
import {formatLabels} from '../core/labels.js'
import {printable} from '../core/printable.js'
import type {StatementOutput, StatementResult} from './statement.js'
import {renderTable} from './table.js'

/** The databases that a statement is about to run on. */
export async function foundText(databases: readonly VisibleDatabase[]): Promise<string> {
  const rows = databases.map(({database: {metadata, spec}}) => [
    metadata.name,
    metadata.description ?? '',
    spec.protocol,
    formatLabels(metadata.labels ?? {}),
  ])
  const table = await renderTable(['Name', 'Description', 'Protocol', 'Labels'], rows)
  return `Found ${databases.length} database(s):\n\n${table}\n`
}

/** What one database answered: each result as a table with its number of rows, then the notices. */
export async function outputText({results, notices}: StatementOutput): Promise<string> {
  const tables = await Promise.all(results.map(resultText))
  return [...tables, ...notices.map((notice) => `${printable(notice)}\n`)].join('\n')
}

async function resultText({command, row_count, columns, rows}: StatementResult): Promise<string> {
  if (columns.length === 0) return `${command}${row_count === null ? '' : ` ${row_count}`}\n`
  const table = await renderTable(
    columns,
    rows.map((row) => row.map((value) => value ?? '')),
  )
  return `${table}\n(${rows.length} row${rows.length === 1 ? '' : 's'})\n`
}
