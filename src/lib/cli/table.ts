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

interface Sheet {
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** The columns of a terminal that a text takes: a wide character has two. */
type Measure = (text: string) => number

async function loadMeasure(): Promise<Measure> {
  return (await import('string-width')).default
}

/** What a terminal leaves for one column. */
function roomFor(column: number, width: number, {head, rows}: Sheet, measure: Measure): number {
  const others = head.map((title, index) =>
    index === column ? 0 : Math.max(measure(title), ...rows.map((row) => measure(printable(row[index] ?? '')))),
  )
  return width - others.reduce((sum, other) => sum + other + 1, 0)
}

/**
 * A table without columns for which a terminal has no room, so that enough is left for the one that is to be cut.
 * @param missable titles of those that may go, the first of them first
 */
export async function dropColumns(
  {head, rows}: Sheet,
  {cut, missable, width}: {readonly cut: string; readonly missable: readonly string[]; readonly width: number},
): Promise<Sheet> {
  const [title, ...others] = missable
  // Behind the last column there is no space.
  const least = head.includes(cut) ? narrowest : -1
  const measure = await loadMeasure()
  if (title === undefined || roomFor(head.indexOf(cut), width, {head, rows}, measure) >= least) return {head, rows}
  const place = head.indexOf(title)
  const without = (cells: readonly string[]): string[] => cells.filter((_, index) => index !== place)
  return dropColumns({head: without(head), rows: rows.map(without)}, {cut, missable: others, width})
}

const ellipsis = '...'
/** A column is not cut below this, even where the terminal is too narrow. */
const narrowest = 12

/** Rows whose one column is cut so that a table of them fits into a width. */
export async function fitColumn(
  rows: readonly (readonly string[])[],
  {column, width, head}: {readonly column: number; readonly width: number; readonly head: readonly string[]},
): Promise<string[][]> {
  const measure = await loadMeasure()
  const room = Math.max(roomFor(column, width, {head, rows}, measure), narrowest)
  return rows.map((row) =>
    row.map((cell, index) => {
      // As it will be shown: an escape is longer than what it stands for.
      const shown = index === column ? printable(cell) : cell
      return index === column && measure(shown) > room
        ? `${beginning(shown, room - ellipsis.length, measure)}${ellipsis}`
        : cell
    }),
  )
}

/** As much of a text as so many columns hold, without half of a character. */
function beginning(text: string, columns: number, measure: Measure): string {
  let end = 0
  let left = columns
  for (const {segment, index} of new Intl.Segmenter().segment(text)) {
    left -= measure(segment)
    if (left < 0) break
    end = index + segment.length
  }
  return text.slice(0, end)
}
