/** Control characters, and the invisible ones that reorder or hide text (Unicode categories Cc, Cf, Cs, Zl, Zp). */
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/** Text from elsewhere, safe for a terminal and a log line: what could move the cursor or forge a line is escaped. */
export function printable(text: string): string {
  return text.replace(unprintable, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

/** As `printable`, for text whose lines and tabs are ours. */
export function printableLines(text: string): string {
  return text.replace(/[^\n\t]+/g, printable)
}
