/** So many letters may be wrong, missing, too many, or two of them swapped, and of a short command only one in three. */
const mostMistakes = 2
const mostSuggestions = 3

/**
 * The commands that somebody may have meant, the nearest first.
 * @param typed the words that are no command, perhaps with arguments behind them
 */
export function nearCommands(typed: string, commands: readonly string[]): string[] {
  const words = typed.split(' ')
  return commands
    .map((command) => {
      const length = command.split(' ').length
      return {command, mistakes: length > words.length ? Infinity : distance(words.slice(0, length).join(' '), command)}
    })
    .filter(({command, mistakes}) => mistakes <= Math.min(mostMistakes, Math.floor(command.length / 3)))
    .sort((one, other) => one.mistakes - other.mistakes || (one.command < other.command ? -1 : 1))
    .slice(0, mostSuggestions)
    .map(({command}) => command)
}

/** How many letters lie between two texts, neighbours that were swapped counted once (Damerau, optimal string alignment). */
function distance(one: string, other: string): number {
  if (Math.abs(one.length - other.length) > mostMistakes) return Infinity
  let before: number[] = []
  let row = Array.from({length: other.length + 1}, (_, index) => index)
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= other.length; j += 1) {
      const differs = one[i - 1] === other[j - 1] ? 0 : 1
      const isSwap = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]
      next.push(
        Math.min(
          (row[j] ?? 0) + 1,
          (next[j - 1] ?? 0) + 1,
          (row[j - 1] ?? 0) + differs,
          isSwap ? (before[j - 2] ?? 0) + 1 : Infinity,
        ),
      )
    }
    before = row
    row = next
  }
  return row[other.length] ?? Infinity
}
