import {Lexer, Parser} from 'yaml'

/**
 * So many collections and values within each other are in no document of ours. A level of the text is up to three of them: a
 * map is within a value of a list, say.
 */
const deepest = 200

/**
 * Whether a YAML text is nested more deeply than any document of ours, as YAML's own parser reads it: that goes from word to
 * word, but what makes values of its tree goes down by a call for each level, and a regular expression that V8 compiles where
 * the stack ends takes the process down.
 */
export function isNestedDeeply(text: string): boolean {
  const parser = new Parser()
  for (const word of new Lexer().lex(text)) {
    // It goes on as far as it is read.
    Array.from(parser.next(word))
    if (parser.stack.length > deepest) return true
  }
  return false
}
