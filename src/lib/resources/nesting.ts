/** No resource and no configuration is nested so deeply. */
const deepest = 100

/**
 * Whether a YAML text is nested more deeply than any document of ours, judged by its brackets, dashes and indentation alone.
 * Its parser goes down by a call for each level, and a regular expression that V8 compiles where the stack ends takes the
 * process down.
 */
export function isNestedDeeply(text: string): boolean {
  let brackets = 0
  for (const line of text.split('\n')) {
    if (isEmpty(line)) continue
    if (levelsBefore(line) > deepest) return true
    for (const character of line) {
      if (character === '[' || character === '{') brackets += 1
      else if (brackets > 0 && (character === ']' || character === '}')) brackets -= 1
      if (brackets > deepest) return true
    }
    // A new document, and in block style nothing that is open goes on.
    if (line.startsWith('---')) brackets = 0
  }
  return false
}

/** Blank, or a comment. */
const isEmpty = (line: string): boolean => /^[ \t\r]*(?:#|$)/.test(line)

/** Dashes and question marks before the content of a line, each a level, and its indentation, of which one space may be a level. */
function levelsBefore(line: string): number {
  return /^(?:[-?](?=[ \t])|[ \t])*/.exec(line)?.[0].length ?? 0
}
