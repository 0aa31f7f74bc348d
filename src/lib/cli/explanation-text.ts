import type {AccessExplanation, DecisionResponse, ExplainAccessResponse} from '../api/responses.js'
import {formatLabels} from '../core/labels.js'
import type {EntriesFinding, Explanation, LabelsFinding, RoleFinding} from '../resources/explanation.js'
import {renderColumns, renderTable} from './table.js'

/** Entries of a list that a cell shows. */
const shownEntries = 4

/** What agents would decide: usually one answer. */
export async function renderAnswers({answers}: ExplainAccessResponse): Promise<string> {
  const rendered = answers.map(async (answer) => {
    const agents = answer.agents.map(({hostname, health}) => `${hostname} (${health})`)
    const row = ['Agents', agents.length > 0 ? agents.join(', ') : 'none serves it at the moment']
    return renderExplanation(answer, [row])
  })
  return (await Promise.all(rendered)).join('\n\n')
}

/** What an agent decided. */
export async function renderDecision(decision: DecisionResponse): Promise<string> {
  const {id, time, user, agent, message, explanation, remedies = []} = decision
  const about = [
    ['Decision', id],
    ['Time', time],
    ['Agent', agent.hostname],
  ]
  if (explanation) return renderExplanation({explanation, remedies}, about)
  return [`Denied: ${message}`, '', await renderColumns([...about, ['User', user]])].join('\n')
}

async function renderExplanation(
  {explanation, remedies}: Pick<AccessExplanation, 'explanation' | 'remedies'>,
  about: readonly (readonly string[])[],
): Promise<string> {
  const {allowed, message, user, database, labels, dbUser, dbName, dbRoles, lock} = explanation
  const facts = [
    ...about,
    ['User', user],
    ['Database', `${database}${Object.keys(labels).length > 0 ? ` (${formatLabels(labels)})` : ''}`],
    ['As', `${dbUser} to ${dbName}`],
    ...(dbRoles.length > 0 ? [['Database roles', dbRoles.join(', ')]] : []),
    ...(lock === undefined ? [] : [['Lock', lock]]),
  ]
  return [
    `${allowed ? 'Allowed' : 'Denied'}: ${message}`,
    '',
    await renderColumns(facts),
    ...(explanation.roles.length > 0 ? ['', await renderRoles(explanation)] : []),
    ...(remedies.length > 0 ? ['', 'What would allow it:', ...remedies.map((remedy) => `  ${remedy}`)] : []),
  ].join('\n')
}

function renderRoles({roles}: Explanation): Promise<string> {
  const rows = roles.map((finding) => {
    const {role, defined, allow} = finding
    if (!defined) return [role, 'there is no such role', '', '', '']
    return [role, labelsCell(allow.labels), entriesCell(allow.user), entriesCell(allow.name), deniesCell(finding)]
  })
  return renderTable(['Role', 'Labels', 'Database user', 'Database name', 'Denies'], rows)
}

function labelsCell({matched, selector, expression, failed}: LabelsFinding): string {
  if (matched) return 'yes'
  if (failed === undefined) return 'no: selects none'
  if (failed === 'expression' && expression !== undefined) return `no: ${expression}`
  const values = selector?.[failed]
  return values ? `no: ${failed}=${brief(values, '|')}` : 'no: selects none'
}

function entriesCell({matched, entries}: EntriesFinding): string {
  if (matched) return 'yes'
  return entries.length === 0 ? 'no: none' : `no: ${brief(entries, ', ')}`
}

function deniesCell({deny: {labels, user, name, roles}}: RoleFinding): string {
  const denied = [
    labels.matched ? 'the database' : '',
    user.matched ? 'the user' : '',
    name.matched ? 'the name' : '',
    roles.matched ? 'a database role' : '',
  ]
  return denied.filter(Boolean).join(', ')
}

function brief(values: readonly string[], separator: string): string {
  const shown = values.slice(0, shownEntries).join(separator)
  return values.length > shownEntries ? `${shown}${separator}...` : shown
}
