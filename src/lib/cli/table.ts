import {printable} from '../core/printable.js'

/** No lines, no padding, one space between columns. */
const bare = {
  chars: {
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    bottom: '',
    'bottom-mid': '',
    'bottom-left': '',
    'bottom-right': '',
    left: '',
    'left-mid': '',
    mid: '',
    'mid-mid': '',
    right: '',
    'right-mid': '',
    middle: ' ',
  },
  style: {'padding-left': 0, 'padding-right': 0, head: [], border: []},
}

/** A heading, an underline as wide as each column's widest cell, then the rows. */
export async function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): Promise<string> {
  const {lines, widths} = await layOut([head, ...rows])
  const [heading = '', ...body] = lines
  return [heading, widths.map((width) => '-'.repeat(width)).join(' '), ...body].join('\n')
}

/** Rows in aligned columns, without a heading. */
export async function renderColumns(rows: readonly (readonly string[])[]): Promise<string> {
  return (await layOut(rows)).lines.join('\n')
}

async function layOut(rows: readonly (readonly string[])[]): Promise<{lines: string[]; widths: readonly number[]}> {
  const {default: Table} = await import('cli-table3')
  const table = new Table(bare)
  table.push(...rows.map((row) => row.map(printable)))
  const lines = table.toString().split('\n')
  // Computed by toString, and counted as a terminal does: a wide character is two columns.
  const widths = table.options.colWidths.filter((width) => width !== null)
  return {lines: lines.map((line) => line.trimEnd()), widths}
}

const ellipsis = '...'
/** A column is not cut below this, even where the terminal is too narrow. */
const narrowest = 12

/** Rows whose one column is cut so that a table of them fits into a width. */
export function fitColumn(
  rows: readonly (readonly string[])[],
  {column, width, head}: {readonly column: number; readonly width: number; readonly head: readonly string[]},
): string[][] {
  const others = head.map((title, index) =>
    index === column
      ? 0
      : Math.max(...[title, ...rows.map((row) => printable(row[index] ?? ''))].map(({length}) => length)),
  )
  const room = Math.max(width - others.reduce((sum, other) => sum + other + 1, 0), narrowest)
  return rows.map((row) =>
    row.map((cell, index) =>
      index === column && cell.length > room ? `${cell.slice(0, room - ellipsis.length)}${ellipsis}` : cell,
    ),
  )
}
