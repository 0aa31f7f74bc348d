import {readFileSync} from 'node:fs'
import {join} from 'node:path'

/** A command line that a guide prints. */
export interface GuideLine {
  /** `FILE:LINE` of the guide. */
  readonly at: string
  /** As a shell takes it: without `$ ` and `sudo `. */
  readonly text: string
}

/**
 * The lines of one guide, in its order. lines.txt has all command lines of the three guides, each after its file and
 * line number; what does not begin with these belongs to the line before.
 */
export function linesOf(guide: string): GuideLine[] {
  const list = readFileSync(join('test', 'guides', 'lines.txt'), 'utf8')
  return list
    .split(/^(?=\S+:\d+ )/m)
    .filter((entry) => entry.startsWith(`${guide}.`))
    .map((entry) => {
      const [, at = '', text = ''] = /^(\S+) (.*)$/s.exec(entry.trimEnd()) ?? []
      return {at, text: asShell(text)}
    })
}

/** The RDS Proxy guide has lost its line breaks: ` \ ` stands where one was. */
function asShell(text: string): string {
  return text
    .replace(/^\$ /, '')
    .replace(/\bsudo /g, '')
    .replace(/ \\ /g, ' ')
}
