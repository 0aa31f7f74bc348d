/** IAM's limits on the size of policies (IAM User Guide, "IAM and AWS STS quotas"), counted before anything is sent. Pure. */
import type {PolicyDocument, Statement} from './iam-policy.js'

/** Characters without white space: of all inline policies of a user or role together, and of one managed policy. */
export const policyLimits = {user: 2048, role: 10_240, managed: 6144} as const

/** How many characters of a document count. */
export const charactersOf = (document: PolicyDocument): number => JSON.stringify(document).replace(/\s/g, '').length

/** The same permissions in as few documents as the limit allows, in their order; one when they fit. */
export function splitPolicy(document: PolicyDocument, limit: number = policyLimits.managed): PolicyDocument[] {
  if (charactersOf(document) <= limit) return [document]
  const documents: PolicyDocument[] = []
  let current: readonly Statement[] = []
  const fits = (statements: readonly Statement[]): boolean =>
    charactersOf({...document, Statement: statements}) <= limit
  for (const statement of document.Statement) {
    for (const resource of asList(statement.Resource)) {
      const extended = withResource(current, statement, resource)
      if (fits(extended)) {
        current = extended
        continue
      }
      if (current.length > 0) documents.push({...document, Statement: current})
      current = [{...statement, Resource: resource}]
    }
  }
  return [...documents, {...document, Statement: current}]
}

/** The statements and one resource more, in the last of them when that is of the same kind. */
function withResource(statements: readonly Statement[], wanted: Statement, resource: string): readonly Statement[] {
  const last = statements.at(-1)
  if (!last || JSON.stringify({...last, Resource: ''}) !== JSON.stringify({...wanted, Resource: ''})) {
    return [...statements, {...wanted, Resource: resource}]
  }
  return [...statements.slice(0, -1), {...last, Resource: [...asList(last.Resource), resource]}]
}

const asList = (items: string | readonly string[] = '*'): readonly string[] =>
  typeof items === 'string' ? [items] : items
