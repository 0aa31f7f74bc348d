import {compileCondition, type Vocabulary} from '../access/predicate.js'
import type {Database} from '../resources/database.js'
import {hasWords} from './database-text.js'
import {asUsage} from './usage.js'

/** What a query looks at. */
export interface QueriedDatabase {
  readonly database: Database
  readonly type: string
  readonly health: string
}

/** What queries may speak of (client contract, 4.7), in the short form and the long one. */
const vocabulary: Vocabulary<QueriedDatabase> = {
  names: {
    name: {type: 'text', read: ({database}) => database.metadata.name},
    labels: {map: 'text', lookUp: labelOf},
    'health.status': {type: 'text', read: ({health}) => health},
    'resource.kind': {type: 'text', read: ({database}) => database.kind},
    'resource.metadata.name': {type: 'text', read: ({database}) => database.metadata.name},
    'resource.metadata.description': {type: 'text', read: ({database}) => database.metadata.description ?? ''},
    'resource.metadata.labels': {map: 'text', lookUp: labelOf},
    'resource.spec.protocol': {type: 'text', read: ({database}) => database.spec.protocol},
    'resource.spec.uri': {type: 'text', read: ({database}) => database.spec.uri},
  },
  functions: {
    search: {
      takes: [],
      more: 'text',
      gives: 'flag',
      prepare: () => ({run: (words, queried) => hasWords(queried, words as readonly string[])}),
    },
  },
}

/** A label that is not there is an empty text. */
function labelOf({database: {metadata}}: QueriedDatabase, key: string): string {
  return Object.hasOwn(metadata.labels ?? {}, key) ? (metadata.labels?.[key] ?? '') : ''
}

/** @throws PosternError USAGE saying what is wrong in the query, and where */
export function compileQuery(text: string): (queried: QueriedDatabase) => boolean {
  const {holds} = asUsage(() => compileCondition(text, vocabulary))
  return (queried) => holds(queried) === true
}
