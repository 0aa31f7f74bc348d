import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import type {AgentDefinition} from './definition.js'
import {issueWebIdentity} from './web-identity.js'
import type {World} from './world.js'

export interface SandboxPlaces {
  readonly directory: string
  readonly apiPort: number
  /** Of the metadata service; undefined when the agent is on no instance. */
  readonly metadataPort: number | undefined
  /** `endpoint:port` → `127.0.0.1:port` */
  readonly resolve: ReadonlyMap<string, string>
  /** The file with all authorities of the database endpoints. */
  readonly authorities: string
}

type Environment = Readonly<Record<string, string>>

/** Variables that let an agent, and any SDK of AWS, live in the sandbox. */
export async function agentEnvironment(world: World, places: SandboxPlaces): Promise<Environment> {
  const {agent} = world
  return {
    AWS_ENDPOINT_URL: `http://127.0.0.1:${places.apiPort}`,
    ...(places.resolve.size > 0 && {
      POSTERN_AWS_CA_FILE: places.authorities,
      POSTERN_RESOLVE: Array.from(places.resolve, ([endpoint, address]) => `${endpoint}=${address}`).join(','),
    }),
    ...(agent && {AWS_REGION: agent.region, AWS_DEFAULT_REGION: agent.region}),
    // Nobody in the sandbox asks the metadata service of the machine that it happens to run on.
    ...(agent?.kind !== 'instance-profile' && {AWS_EC2_METADATA_DISABLED: 'true'}),
    ...(agent && (await credentialVariables(world, agent, places))),
  }
}

async function credentialVariables(world: World, agent: AgentDefinition, places: SandboxPlaces): Promise<Environment> {
  switch (agent.kind) {
    case 'access-key': {
      const keys = world.accounts.get(agent.account)?.users.get(agent.user)?.accessKeys ?? []
      const [id = '', secret] = [...keys][0] ?? []
      return {AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret?.reveal() ?? ''}
    }
    case 'web-identity': {
      const file = join(places.directory, 'web-identity-token')
      await writeFile(file, issueWebIdentity(agent.subject, world.now()).reveal(), {mode: 0o600})
      const role = world.accounts.get(agent.account)?.roles.get(agent.role)
      return {AWS_ROLE_ARN: role?.arn ?? '', AWS_WEB_IDENTITY_TOKEN_FILE: file}
    }
    case 'instance-profile':
      return {AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://127.0.0.1:${places.metadataPort ?? 0}`}
  }
}
