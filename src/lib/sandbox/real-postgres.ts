/** The real PostgreSQL server behind all fake database endpoints. The sandbox is given one; it starts none. */
import type {Socket} from 'node:net'

export interface RealPostgres {
  /** Runs SQL as a superuser and gives the rows of its last statement. */
  execute(sql: string): Promise<readonly Readonly<Record<string, unknown>>[]>
  /**
   * A connection on which the server lets this user in without asking for anything, such as one over TLS with a client
   * certificate. Nothing has been sent on it but what TLS needs: the startup message is the sandbox's.
   */
  connectAs(user: string, database: string): Promise<Socket>
}

/** RDS has it in every database server: its members sign in with tokens. */
export const iamRole = 'rds_iam'

const quoteLiteral = (text: string): string => `'${text.replaceAll("'", "''")}'`
const quoteIdentifier = (name: string): string => `"${name.replaceAll('"', '""')}"`

export async function roleExists(postgres: RealPostgres, role: string): Promise<boolean> {
  const rows = await postgres.execute(`select 1 from pg_catalog.pg_roles where rolname = ${quoteLiteral(role)}`)
  return rows.length > 0
}

/** Creates a role if there is none of that name. */
export async function ensureRole(postgres: RealPostgres, role: string, attribute: 'login' | 'nologin'): Promise<void> {
  if (await roleExists(postgres, role)) return
  try {
    await postgres.execute(`create role ${quoteIdentifier(role)} ${attribute}`)
  } catch (error) {
    // Another sign-in of the same user may have been faster.
    if (!(await roleExists(postgres, role))) throw error
  }
}

/** Whether the user is a member of the role, also by way of others; a superuser is so only when it was granted, as in pg_hba.conf. */
export async function isMember(postgres: RealPostgres, user: string, role: string): Promise<boolean> {
  const rows = await postgres.execute(`
    with recursive groups(id) as (
      select oid from pg_catalog.pg_roles where rolname = ${quoteLiteral(user)}
      union select m.roleid from pg_catalog.pg_auth_members m join groups on m.member = groups.id
    )
    select 1 from groups join pg_catalog.pg_roles on oid = id
    where rolname = ${quoteLiteral(role)} and rolname <> ${quoteLiteral(user)}`)
  return rows.length > 0
}

/** What the server keeps of a user's password; undefined without user or password. */
export async function passwordOf(postgres: RealPostgres, user: string): Promise<string | undefined> {
  const sql = `select rolpassword from pg_catalog.pg_authid where rolname = ${quoteLiteral(user)} and rolcanlogin`
  const [row] = await postgres.execute(sql)
  return typeof row?.rolpassword === 'string' ? row.rolpassword : undefined
}
