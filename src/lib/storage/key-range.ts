/** The first string behind every string with this prefix; undefined when there is none. */
export function endOf(prefix: string): string | undefined {
  const last = prefix.codePointAt(prefix.length - 1)
  return last === undefined ? undefined : prefix.slice(0, -1) + String.fromCodePoint(last + 1)
}
