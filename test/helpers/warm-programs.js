// Commands without their start: what a command does takes milliseconds, and loading it in a process of its own thirty times
// that. So Jest keeps a few processes that have loaded the program, and lends one to a test for each command.
import {Buffer} from 'node:buffer'
import {fork} from 'node:child_process'
import {once} from 'node:events'
import {access, chmod, constants, mkdtemp, readdir, rm, stat} from 'node:fs/promises'
import {createServer} from 'node:net'
import {tmpdir} from 'node:os'
import {delimiter, dirname, join, resolve} from 'node:path'

let stop

const forTests = /^POSTERN_(TEST_|FUZZ_|UPDATE_DOCS$|DIFFERENTIAL$)/
/** Which databases, accounts, authorities and HTTP proxies somebody uses, and their language. */
const ofPeople =
  /^(POSTERN_|PG[A-Z]|PSQL|AWS_|SSL_CERT_|NODE_EXTRA_CA_CERTS$|LANG$|LANGUAGE$|LC_|DEBUG$|(https?|all|no)_proxy$)/i

/** Tests see nothing of the settings of whoever runs them. */
function forgetSettings() {
  for (const name of Object.keys(process.env)) {
    if (ofPeople.test(name) && !forTests.test(name)) Reflect.deleteProperty(process.env, name)
  }
}

/**
 * Jest's globalSetup: asks are taken on a socket, whose path the tests find in their environment, as that of its directory,
 * which is for what all tests of this run share.
 */
export default async function start() {
  forgetSettings()
  const directory = await mkdtemp(join(await placeForAll(), 'postern-tests-'))
  // PostgreSQL's account gets to what is its own in there.
  await chmod(directory, 0o711)
  const programs = new Set()
  const idle = []
  const server = createServer({allowHalfOpen: true}, (socket) => {
    socket.on('error', () => undefined)
    answer(socket).catch((error) => socket.destroy(error))
  })

  async function answer(socket) {
    const chunks = []
    socket.on('data', (chunk) => chunks.push(chunk))
    await once(socket, 'end')
    const program = idle.pop() ?? startProgram()
    program.send(JSON.parse(Buffer.concat(chunks).toString()))
    // Without a message it has ended: the connection ends without an answer, and the test fails.
    const [finished] = await Promise.race([once(program, 'message'), once(program, 'exit').then(() => [])])
    if (finished && program.connected) idle.push(program)
    socket.end(finished && JSON.stringify(finished))
  }

  function startProgram() {
    const environment = Object.entries(process.env).filter(([name]) => !/^(NODE_|JEST_)/.test(name))
    const program = fork(resolve('test/helpers/warm-program.js'), {
      env: Object.fromEntries(environment),
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    programs.add(program)
    program.once('exit', () => {
      programs.delete(program)
      if (idle.includes(program)) idle.splice(idle.indexOf(program), 1)
    })
    return program
  }

  process.env.PATH = [...(await newestPostgresPrograms()), process.env.PATH].join(delimiter)
  const path = join(directory, 'socket')
  await once(server.listen(path), 'listening')
  process.env.POSTERN_TEST_PROGRAMS = path
  process.env.POSTERN_TEST_DIRECTORY = directory
  stop = async () => {
    server.close()
    // A command may have left a listener for the gentler ones.
    for (const program of programs) program.kill('SIGKILL')
    // What a service left running has as long to end.
    await rm(directory, {recursive: true, force: true, maxRetries: 10})
  }
}

/** The temporary directory, or another where PostgreSQL's account cannot get into it or its path is too long for a socket's. */
async function placeForAll() {
  const [usual, other] = [tmpdir(), '/tmp']
  const longest = 70
  if (usual.length > longest) return other
  if (process.getuid?.() !== 0) return usual
  for (let path = usual; path !== dirname(path); path = dirname(path)) {
    if (((await stat(path)).mode & constants.S_IXOTH) === 0) return other
  }
  return usual
}

/**
 * The directory of psql itself, where Debian has it: the psql on its PATH is a script that looks for the newest one, and
 * costs four times as much.
 */
async function newestPostgresPrograms() {
  const all = '/usr/lib/postgresql'
  const versions = await readdir(all).catch(() => [])
  for (const version of versions.toSorted((one, other) => other - one)) {
    const programs = join(all, version, 'bin')
    if (
      await access(join(programs, 'psql')).then(
        () => true,
        () => false,
      )
    )
      return [programs]
  }
  return []
}

/** Jest's globalTeardown. */
export const end = () => stop?.()
