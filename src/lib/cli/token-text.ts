import type {TokenResponse} from '../api/responses.js'
import {describeDuration, formatDuration} from '../core/duration.js'
import {PosternError} from '../core/errors.js'
import {formatLabels} from '../core/labels.js'
import type {JoinRole, Token} from '../resources/token.js'
import {nameCommands} from './calling-name.js'
import {renderTable} from './table.js'

const rolesOfTypes: Readonly<Record<string, JoinRole>> = {db: 'Db', proxy: 'Proxy', discovery: 'Discovery'}

/** `db`, `Proxy`, … as the roles of a join token. @throws PosternError USAGE */
export function parseJoinRoles(types: readonly string[]): JoinRole[] {
  return types.map((type) => {
    const role = Object.hasOwn(rolesOfTypes, type.toLowerCase()) ? rolesOfTypes[type.toLowerCase()] : undefined
    if (role) return role
    throw new PosternError('USAGE', `"${type}" is not a type of token.`, {
      hint: `Types: ${Object.keys(rolesOfTypes).join(', ')}.`,
    })
  })
}

/** What the instructions for an agent fill in. */
export interface ShownDatabase {
  readonly name?: string | undefined
  readonly protocol?: string | undefined
  readonly uri?: string | undefined
}

const configFile = '/etc/postern.yaml'

/** What to do with a new token, as commands that work when they are copied. */
export function renderJoinInstructions(token: TokenResponse, database: ShownDatabase): string {
  const life = describeDuration(token.ttlSeconds * 1000)
  const heading = `The join token: ${token.token}\nIt can be used for ${life}.`
  const steps = token.roles.includes('Proxy') ? proxySteps(token) : agentSteps(token, database)
  return `${heading}\n\n${nameCommands(steps)}`
}

function agentSteps({token, caPins, proxy}: TokenResponse, {name, protocol, uri}: ShownDatabase): string {
  const flags = [
    `--token=${token}`,
    ...caPins.map((pin) => `--ca-pin=${pin}`),
    `--proxy=${proxy}`,
    `--name=${name ?? 'my-database'}`,
    `--protocol=${protocol ?? 'postgres'}`,
    `--uri=${uri ?? 'db.example.com:5432'}`,
    `--output=file://${configFile}`,
  ]
  return `On the host of the new agent, write its configuration, with your database in it:

> postern db configure create \\
${flags.map((flag) => `   ${flag}`).join(' \\\n')}

and start it:

> postern start -c ${configFile}

Before you do:

  - The agent must be able to reach ${proxy} and the database; nothing needs to reach the agent.
  - A self-hosted PostgreSQL needs a certificate: postern auth sign --format=db --host=db.example.com --out=server
  - For a database of AWS outside the region its address names, add --aws-region.`
}

function proxySteps({token, caPins}: TokenResponse): string {
  const pins = caPins.map((pin) => `\n    - ${pin}`).join('')
  return `On the host of the new proxy, write this into ${configFile}, with the address of your Auth Service:

version: v3
postern:
  auth_server: auth.example.com:3025
  auth_token: ${token}
  ca_pin:${pins}
auth_service:
  enabled: no
proxy_service:
  enabled: yes
  web_listen_addr: 0.0.0.0:443
  public_addr: proxy.example.com:443
db_service:
  enabled: no

and start it:

> postern start -c ${configFile}`
}

/** Tokens, the one that ends first on top. */
export async function renderTokens(tokens: readonly Token[], now: number): Promise<string> {
  if (tokens.length === 0) return 'No token is in force.'
  const ends = (token: Token): number => (token.metadata.expires ? Date.parse(token.metadata.expires) : Infinity)
  const rows = tokens
    .toSorted((a, b) => ends(a) - ends(b))
    .map((token) => [
      token.metadata.name,
      token.spec.roles.join(','),
      formatLabels(token.metadata.labels ?? {}),
      renderExpiry(ends(token), now),
    ])
  return renderTable(['Token', 'Type', 'Labels', 'Expiry Time (UTC)'], rows)
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `20 Nov 26 10:00 UTC (29m59s)` */
function renderExpiry(expires: number, now: number): string {
  if (!Number.isFinite(expires)) return 'never'
  const date = new Date(expires)
  const two = (number: number): string => String(number).padStart(2, '0')
  const day = `${two(date.getUTCDate())} ${months[date.getUTCMonth()] ?? ''} ${two(date.getUTCFullYear() % 100)}`
  const time = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`
  return `${day} ${time} UTC (${formatDuration(Math.max(expires - now, 0))})`
}
