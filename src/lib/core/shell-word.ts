/** Words for a POSIX shell. */

/** In single quotes. */
export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** As it is where it can be, else in single quotes. */
export const shellWord = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : quoted(text))
