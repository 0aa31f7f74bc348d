import {LineCounter, parseAllDocuments, type Document} from 'yaml'
import {PosternError} from '../core/errors.js'
import {kinds, type Kind} from './kinds.js'
import {isNestedDeeply} from './nesting.js'
import {parseResource, type Resource} from './resource.js'

/** Larger input is no resource file. */
const maximumBytes = 4 * 1024 * 1024

/**
 * Resources of a YAML or JSON text, several documents separated by `---`, in their order.
 * @throws PosternError INVALID with the line where the text, or a document, is wrong.
 */
export function parseDocuments(text: string): Resource[] {
  if (Buffer.byteLength(text) > maximumBytes) {
    throw new PosternError('INVALID', `The input is larger than ${maximumBytes} bytes.`)
  }
  if (isNestedDeeply(text)) throw new PosternError('INVALID', 'The input is nested too deeply.')
  const lines = new LineCounter()
  const documents: Document[] = [...parseAllDocuments(text, {lineCounter: lines, schema: 'core', uniqueKeys: true})]
  const found = documents.flatMap((document) => {
    const [broken] = document.errors
    if (broken) throw new PosternError('INVALID', `The input is not valid YAML: ${describe(broken)}`)
    const value = readValue(document)
    const at = `line ${lines.linePos(document.contents?.range?.[0] ?? 0).line}`
    return value === null ? [] : [readDocument(value, at)]
  })
  if (found.length === 0) {
    throw new PosternError('INVALID', 'The input holds no resource.', {hint: 'Give a file, or YAML on standard input.'})
  }
  return found
}

/** The parser's sentence with line and column, without the excerpt that follows it. */
function describe({message}: Error): string {
  return (message.split('\n')[0] ?? '').replace(/:$/, '.')
}

/** Without aliases: a few lines of them can expand to gigabytes. */
function readValue(document: Document): unknown {
  try {
    return document.toJS({maxAliasCount: 0})
  } catch (error) {
    throw new PosternError('INVALID', 'The input uses YAML aliases, which are not allowed in resources.', {
      cause: error,
    })
  }
}

function readDocument(document: unknown, at: string): Resource {
  const kind: unknown =
    typeof document === 'object' && document !== null && 'kind' in document ? document.kind : undefined
  if (typeof kind !== 'string') {
    throw new PosternError('INVALID', `The document at ${at} has no kind.`, {hint: `Kinds: ${kinds.join(', ')}.`})
  }
  const known = kinds.find((candidate): candidate is Kind => candidate === kind)
  if (!known) {
    throw new PosternError('INVALID', `The document at ${at} is of the unknown kind "${kind}".`, {
      hint: `Kinds: ${kinds.join(', ')}.`,
    })
  }
  try {
    return parseResource(known, document)
  } catch (error) {
    if (!(error instanceof PosternError)) throw error
    throw new PosternError(error.code, `${error.message.replace(/\.$/, '')} (document at ${at}).`, {cause: error})
  }
}
