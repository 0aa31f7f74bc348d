import {chown, writeFile} from 'node:fs/promises'
import {userInfo} from 'node:os'
import {join} from 'node:path'
import type {Secret} from '../core/secret.js'
import type {Account} from './postgres-account.js'

export const superuser = 'postgres'

/** How the server is set up. */
export interface ServerSetup {
  /** Speaks TLS with this certificate; with client authorities, users sign in by a certificate of theirs with their name. */
  readonly tls?:
    | {readonly certificate: string; readonly privateKey: Secret; readonly clientAuthorities?: string | undefined}
    | undefined
  /** Lines of pg_hba.conf for connections over TCP, in place of those that follow from `tls`. */
  readonly hbaLines?: readonly string[] | undefined
  /** Settings of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string | number | boolean>> | undefined
  /** Default true; false lets a crash of the machine lose data, and everything go faster. */
  readonly durable?: boolean | undefined
}

/** Where the server keeps what. */
export interface ServerPlace {
  /** Data, log and configuration. */
  readonly home: string
  readonly sockets: string
  readonly account: Account | undefined
}

export const dataDirectory = ({home}: ServerPlace): string => join(home, 'data')
export const logFile = ({home}: ServerPlace): string => join(home, 'postgres.log')

/** Writes the files that the server reads, for its account alone. */
export async function writeServerFiles(place: ServerPlace, {tls, hbaLines}: ServerSetup): Promise<void> {
  // Peer authentication (PostgreSQL manual 20.9): whoever runs this process is the superuser or any other user, and no
  // password exists.
  const local = 'local all all peer map=postern'
  const files: Record<string, string> = {
    'pg_hba.conf': [local, ...(hbaLines ?? hostLines(tls)), ''].join('\n'),
    'pg_ident.conf': `postern "${userInfo().username}" all\n`,
    ...(tls && {'server.crt': tls.certificate, 'server.key': tls.privateKey.reveal()}),
    ...(tls?.clientAuthorities && {'clients.crt': tls.clientAuthorities}),
  }
  for (const [name, text] of Object.entries(files)) {
    const path = join(place.home, name)
    await writeFile(path, text, {mode: 0o600})
    await giveTo(place.account, path)
  }
}

function hostLines(tls: ServerSetup['tls']): string[] {
  const method = tls?.clientAuthorities ? 'cert' : 'scram-sha-256'
  return [`${tls ? 'hostssl' : 'host'} all all 127.0.0.1/32 ${method}`]
}

/** Makes the account the owner; without one the owner is right already. */
export async function giveTo(account: Account | undefined, path: string): Promise<void> {
  if (account) await chown(path, account.uid, account.gid)
}

/** Arguments of the program `postgres`. */
export function serverArguments(
  place: ServerPlace,
  port: number,
  {tls, settings, durable = true}: ServerSetup,
): string[] {
  const file = (name: string): string => join(place.home, name)
  const all = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: place.sockets,
    unix_socket_permissions: '0700',
    hba_file: file('pg_hba.conf'),
    ident_file: file('pg_ident.conf'),
    ...(tls && {ssl: 'on', ssl_cert_file: file('server.crt'), ssl_key_file: file('server.key')}),
    ...(tls?.clientAuthorities && {ssl_ca_file: file('clients.crt')}),
    ...(!durable && {fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off'}),
    ...settings,
  }
  return [
    '-D',
    dataDirectory(place),
    ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${String(value)}`]),
  ]
}
