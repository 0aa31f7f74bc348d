import type {AccessExplanation, DecisionResponse, ExplainAccessResponse} from '../api/responses.js'
import {formatLabels} from '../core/labels.js'
import type {HealthStatus} from '../resources/database-server.js'
import type {EntriesFinding, Explanation, LabelsFinding, RoleFinding} from '../resources/explanation.js'
import {renderColumns, renderTable} from './table.js'

/** Entries of a list that a cell shows. */
const shownEntries = 4

/** What agents would decide, as `access explain --format json` shows it. */
export interface AnswersData {
  readonly answers: readonly (Explained & {
    readonly agents: readonly (AgentData & {readonly health: HealthStatus})[]
  })[]
}

/** A denial that was, as `access explain ID --format json` shows it. */
export interface DecisionData extends Partial<Explained> {
  readonly id: string
  /** RFC 3339 */
  readonly time: string
  readonly user: string
  readonly agent: AgentData
  readonly message: string
}

type Explained = Pick<AccessExplanation, 'explanation' | 'remedies'>

interface AgentData {
  readonly host_id: string
  readonly hostname: string
}

export const answersData = ({answers}: ExplainAccessResponse): AnswersData => ({
  answers: answers.map((answer) => ({...answer, agents: answer.agents.map(agentData)})),
})

export const decisionData = (decision: DecisionResponse): DecisionData => ({
  ...decision,
  agent: agentData(decision.agent),
})

const agentData = <T extends {readonly hostId: string}>({
  hostId,
  ...agent
}: T): Omit<T, 'hostId'> & {readonly host_id: string} => ({host_id: hostId, ...agent})

/** Usually one answer. */
export async function renderAnswers({answers}: AnswersData): Promise<string> {
  const rendered = answers.map(async (answer) => {
    const agents = answer.agents.map(({hostname, health}) => `${hostname} (${health})`)
    const row = ['Agents', agents.length > 0 ? agents.join(', ') : 'none serves it at the moment']
    return renderExplanation(answer, [row])
  })
  return (await Promise.all(rendered)).join('\n\n')
}

/** What an agent decided. */
export async function renderDecision(decision: DecisionData): Promise<string> {
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
  {explanation, remedies}: Explained,
  about: readonly (readonly string[])[],
): Promise<string> {
  const {allowed, message, user, database, labels, lock} = explanation
  const facts = [
    ...about,
    ['User', user],
    ['Database', `${database}${Object.keys(labels).length > 0 ? ` (${formatLabels(labels)})` : ''}`],
    ['As', `${explanation.db_user} to ${explanation.db_name}`],
    ...(explanation.db_roles.length > 0 ? [['Database roles', explanation.db_roles.join(', ')]] : []),
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
