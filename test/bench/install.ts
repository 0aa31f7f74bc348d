import {spawnSync} from 'node:child_process'
import {debianPackages} from './peers.js'
import {findProgram} from './programs.js'

const needed = ['psql', 'pgbench'] as const

/** Installs what is missing of clients and peers. @throws Error where that cannot be done */
export async function installPeers(): Promise<void> {
  const missing: string[] = []
  for (const [program, name] of Object.entries(debianPackages)) if (!(await findProgram(program))) missing.push(name)
  if (missing.length === 0) return
  if (process.getuid?.() !== 0 || !(await findProgram('apt-get'))) {
    throw new Error(`This needs root on Debian or Ubuntu: sudo apt-get install ${missing.join(' ')}`)
  }
  // Their services are not wanted, only their programs: a package's script must not start one.
  const environment = {...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1'}
  for (const words of [
    ['update', '-qq'],
    ['install', '-y', '-qq', '--no-install-recommends', ...missing],
  ]) {
    const {status} = spawnSync('apt-get', words, {env: environment, stdio: ['ignore', 2, 2]})
    if (status !== 0) throw new Error(`apt-get ${words.join(' ')} ended with ${String(status)}`)
  }
}

/** What has to be there in any case, as a text for people; undefined when it is. */
export async function missingClients(): Promise<string | undefined> {
  const missing: string[] = []
  for (const name of needed) if (!(await findProgram(name))) missing.push(name)
  if (missing.length === 0) return undefined
  const packages = missing.map((name) => debianPackages[name] ?? name).join(' ')
  return `${missing.join(' and ')} not found. Install them and run this again:
  as root on Debian or Ubuntu   npm run bench -- --install
  Debian or Ubuntu              sudo apt-get install ${packages}
  Fedora or RHEL                sudo dnf install postgresql postgresql-contrib
  Alpine                        sudo apk add postgresql-client postgresql-contrib
  macOS                         brew install libpq && brew link --force libpq`
}
