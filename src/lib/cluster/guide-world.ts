/**
 * What the three guides take for granted of the reader's AWS account, as a world for the sandbox: an agent's identity
 * with the guide's policy, a database under a name like AWS's, and in the real server behind it the user alice, who may
 * read the products and not change them, so that a refused statement can be seen.
 */
import type {AccountDefinition, WorldDefinition} from '../sandbox/definition.js'

export const guides = ['aurora', 'rds-proxy', 'redshift'] as const
export type Guide = (typeof guides)[number]

export interface GuideWorld {
  /** The guide's name for the database. */
  readonly database: string
  /** `host:port` as AWS would name it. */
  readonly uri: string
  /** The logical database that the guide connects to. */
  readonly databaseName: string
  /** Who the guide connects as. */
  readonly databaseUsers: readonly string[]
  readonly world: WorldDefinition
  /** SQL for the real server's database `postgres`, one text per connection. */
  readonly seed: readonly string[]
  /** Another logical database with the same products, if the guide uses one. */
  readonly extraDatabase?: string
}

const account = '123456789012'
const region = 'us-west-1'
const endpointId = 'abcdefghijklm'
const agentUser = 'postern-agent'
/** Who may change IAM: the reader, for the commands that give the agent its permissions. */
const operatorUser = 'operator'
/** Roles that the guides attach policies to. */
const exampleRoles = ['example-role-rds-env-prod', 'example-rds-access-role']

const products = `
CREATE TABLE products (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, price numeric(8, 2) NOT NULL);
INSERT INTO products (name, price) VALUES
  ('Laptop', 1200.00), ('Monitor', 310.00), ('Keyboard', 85.50), ('Mouse', 24.90), ('Headset', 59.00),
  ('Webcam', 45.00), ('Dock', 149.00), ('Cable', 9.95), ('Lamp', 34.00), ('Desk', 420.00);
GRANT SELECT ON products TO PUBLIC;
GRANT CREATE ON SCHEMA public TO PUBLIC;
`

interface Statement {
  readonly actions: readonly string[]
  readonly resource: string
}

function policy(...statements: readonly Statement[]): object {
  return {
    Version: '2012-10-17',
    Statement: statements.map(({actions, resource}) => ({Effect: 'Allow', Action: actions, Resource: resource})),
  }
}

function trust(principal: string): object {
  return {Version: '2012-10-17', Statement: [{Effect: 'Allow', Principal: {AWS: principal}, Action: 'sts:AssumeRole'}]}
}

const agentArn = `arn:aws:iam::${account}:user/${agentUser}`

/** An account whose agent signs in with an access key, as in the guides' environment file. */
function worldOf(
  permissions: object,
  {roles = [], ...databases}: Omit<AccountDefinition, 'id' | 'endpointId' | 'users'>,
): WorldDefinition {
  return {
    accounts: [
      {
        id: account,
        endpointId,
        users: [
          {name: agentUser, inline: {'database-access': permissions}},
          {name: operatorUser, inline: {'manage-iam': policy({actions: ['iam:*'], resource: '*'})}},
        ],
        roles: [...exampleRoles.map((name) => ({name, trust: trust(agentArn)})), ...roles],
        ...databases,
      },
    ],
    agent: {kind: 'access-key', account, user: agentUser, region},
  }
}

/** Whose keys the reader's own commands get. */
export const operator = {account, user: operatorUser} as const

const auroraResourceId = 'cluster-ABCDEFGHIJKLMNOPQRSTUVWX'
const proxyResourceId = 'prx-0a1b2c3d4e5f67890'
const proxyPassword = 'password_for_alice'
const redshiftRole = 'redshift-user-role'

const worlds: Readonly<Record<Guide, GuideWorld>> = {
  aurora: {
    database: 'aurora',
    uri: `postgres-aurora-instance-1.${endpointId}.${region}.rds.amazonaws.com:5432`,
    databaseName: 'postgres',
    databaseUsers: ['alice'],
    world: worldOf(
      policy(
        {actions: ['rds-db:connect'], resource: `arn:aws:rds-db:${region}:${account}:dbuser:${auroraResourceId}/*`},
        {actions: ['rds:DescribeDBClusters', 'rds:DescribeDBInstances'], resource: '*'},
      ),
      {
        clusters: [
          {
            id: 'postgres-aurora',
            region,
            resourceId: auroraResourceId,
            members: ['postgres-aurora-instance-1'],
            tags: {env: 'dev'},
          },
        ],
      },
    ),
    seed: [`CREATE USER alice; GRANT rds_iam TO alice; ${products}`],
  },
  'rds-proxy': {
    database: 'rds-proxy',
    uri: `my-rds-proxy.proxy-${endpointId}.${region}.rds.amazonaws.com:5432`,
    databaseName: 'dev',
    databaseUsers: ['alice'],
    world: worldOf(
      policy(
        {actions: ['rds-db:connect'], resource: '*'},
        {actions: ['rds:DescribeDBProxies', 'rds:DescribeDBProxyEndpoints', 'rds:ListTagsForResource'], resource: '*'},
      ),
      {
        proxies: [
          {
            name: 'my-rds-proxy',
            region,
            resourceId: proxyResourceId,
            secrets: [{user: 'alice', password: proxyPassword}],
            tags: {team: 'shop'},
          },
        ],
      },
    ),
    seed: [`CREATE USER alice PASSWORD '${proxyPassword}';`],
    extraDatabase: 'dev',
  },
  redshift: {
    database: 'my-redshift',
    uri: `redshift-cluster-1.${endpointId}.${region}.redshift.amazonaws.com:5439`,
    databaseName: 'dev',
    databaseUsers: ['alice', `role/${redshiftRole}`],
    world: {
      ...worldOf(
        policy(
          {actions: ['redshift:GetClusterCredentials', 'redshift:DescribeClusters'], resource: '*'},
          {actions: ['sts:AssumeRole'], resource: `arn:aws:iam::${account}:role/${redshiftRole}`},
        ),
        {
          roles: [
            {
              name: redshiftRole,
              trust: trust(agentArn),
              inline: {
                'connect-with-iam': policy({actions: ['redshift:GetClusterCredentialsWithIAM'], resource: '*'}),
              },
            },
          ],
          redshiftClusters: [{id: 'redshift-cluster-1', region, tags: {env: 'dev'}}],
        },
      ),
    },
    seed: ['CREATE USER alice;'],
    extraDatabase: 'dev',
  },
}

/** The guide's world, its databases seeded with the same products. */
export function guideWorld(guide: Guide): GuideWorld {
  return worlds[guide]
}

/** SQL for the extra database, if there is one. */
export const extraSeed = products
