/** What the admin user of a database on RDS knows about another user of it. */
import type {ConnectionOptions} from 'node:tls'
import type {UserStanding} from '../aws/diagnosis.js'
import type {Secret} from '../core/secret.js'
import type {TargetAddress} from './target-address.js'

export interface AdminQuestion {
  readonly target: TargetAddress
  readonly tls: ConnectionOptions
  readonly admin: {readonly user: string; readonly password: Secret; readonly dbName: string}
  /** The user that was refused. */
  readonly dbUser: string
}

const milliseconds = 3000

const query = `select r.rolcanlogin as "canLogin",
  (select pg_has_role(r.oid, g.oid, 'member') from pg_roles g where g.rolname = 'rds_iam') as "isMember"
  from pg_roles r where r.rolname = $1`

interface Row {
  readonly canLogin: boolean
  readonly isMember: boolean | null
}

/** @throws what the database or the network says */
export async function standingOf({target, tls, admin, dbUser}: AdminQuestion): Promise<UserStanding> {
  const {default: pg} = await import('pg')
  const client = new pg.Client({
    host: target.addresses[0]?.address,
    port: target.dialPort,
    user: admin.user,
    password: admin.password.reveal(),
    database: admin.dbName,
    ssl: tls,
    application_name: 'postern',
    connectionTimeoutMillis: milliseconds,
    query_timeout: milliseconds,
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const {rows} = await client.query<Row>(query, [dbUser])
    const [row] = rows
    if (!row) return 'missing'
    if (!row.canLogin) return 'no-login'
    return row.isMember === true ? 'fine' : 'no-membership'
  } finally {
    await client.end().catch(() => undefined)
  }
}
