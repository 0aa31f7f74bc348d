// Writes README's table of commands from oclif.manifest.json.
import {readFile, writeFile} from 'node:fs/promises'

const marks = ['<!-- commands:start -->', '<!-- commands:end -->']

/** The table in Markdown. */
export function renderTable(manifest) {
  const rows = Object.values(manifest.commands)
    .filter((command) => !command.hidden)
    .map(({id, args, summary}) => {
      const words = Object.values(args ?? {}).map(({name, required}) =>
        required ? name.toUpperCase() : `[${name.toUpperCase()}]`,
      )
      return [`\`postern ${[...id.split(':'), ...words].join(' ')}\``, summary]
    })
    .sort(([one], [other]) => (one < other ? -1 : 1))
  const cells = [['Command', 'What it does'], ...rows]
  const widths = [0, 1].map((column) => Math.max(...cells.map((row) => row[column].length)))
  const line = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`
  return [line(cells[0]), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line)].join('\n')
}

/** README with the table between its marks replaced. */
export function withTable(readme, manifest) {
  const [start, end] = marks.map((mark) => readme.indexOf(mark))
  if (start < 0 || end < start) throw new Error(`README.md lacks ${marks.join(' or ')}`)
  return `${readme.slice(0, start + marks[0].length)}\n\n${renderTable(manifest)}\n\n${readme.slice(end)}`
}

if (import.meta.url === new URL(process.argv[1], 'file:').href) {
  const manifest = JSON.parse(await readFile('oclif.manifest.json', 'utf8'))
  await writeFile('README.md', withTable(await readFile('README.md', 'utf8'), manifest))
}
