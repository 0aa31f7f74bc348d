import {open} from 'node:fs/promises'
import {parseRecordingUrl} from '../audit/recording-url.js'
import {messageOf, PosternError} from '../core/errors.js'
import type {Connection} from './user-login.js'

const sessionId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** A session as people name it: by its id, or by the URL of its recording, which also says in which cluster it was. */
export interface NamedSession {
  readonly sid: string
  readonly cluster?: string
}

/** Undefined for a text that names no session. */
export function namedSession(text: string): NamedSession | undefined {
  const named = parseRecordingUrl(text) ?? {sid: text}
  return sessionId.test(named.sid) ? {...named, sid: named.sid.toLowerCase()} : undefined
}

/** @throws PosternError USAGE */
export function requireSession(text: string): NamedSession {
  const named = namedSession(text)
  if (named) return named
  throw new PosternError('USAGE', `"${text}" is not the id of a session, which is a UUID.`, {
    hint: '`postern sessions ls` lists the sessions that are under way, and `postern recordings ls` those that have ended.',
  })
}

/** Whether a session may be asked for there. @throws PosternError NOT_LOGGED_IN when it was in another cluster */
export function checkCluster({cluster}: NamedSession, connection: Connection): void {
  if (cluster === undefined || cluster === connection.cluster) return
  throw new PosternError(
    'NOT_LOGGED_IN',
    `The session was in the cluster ${cluster}, and this is a login to ${connection.cluster}.`,
    {hint: `Log in to ${cluster}, or name the proxy of that cluster with --proxy.`},
  )
}

/**
 * Opens a recording, of a session or in a file, for as long as `use` works with it.
 * @param name id of a session, URL of its recording, or path of a file
 * @param connect asked only for a session
 * @throws PosternError USAGE, NOT_FOUND, NOT_LOGGED_IN, or what the control plane or `use` throws
 */
export async function withRecording<T>(
  name: string,
  connect: () => Promise<Connection>,
  use: (chunks: AsyncIterable<Buffer>) => Promise<T>,
  {follow = false}: {readonly follow?: boolean} = {},
): Promise<T> {
  const session = namedSession(name)
  if (!session) return withFile(name, use)
  const connection = await connect()
  checkCluster(session, connection)
  return connection.ask(async (client) => {
    const end = new AbortController()
    try {
      const {sid} = session
      const chunks = follow ? client.followRecording(sid, end.signal) : client.recording(sid, end.signal)
      return await use(failing(await chunks, brokenOff))
    } finally {
      end.abort()
    }
  })
}

async function withFile<T>(path: string, use: (chunks: AsyncIterable<Buffer>) => Promise<T>): Promise<T> {
  const unreadable = (error: unknown): PosternError =>
    new PosternError('FAILED', `The recording ${path} cannot be read: ${messageOf(error)}.`, {cause: error})
  const file = await open(path, 'r').catch((error: unknown) => {
    const {code} = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') throw unreadable(error)
    if (/[/.]/.test(path)) throw new PosternError('NOT_FOUND', `There is no file ${path}.`)
    throw new PosternError('USAGE', `"${path}" is not the id of a session, which is a UUID, and not a file.`, {
      hint: '`postern recordings ls` lists the recordings.',
    })
  })
  try {
    return await use(failing(file.createReadStream({autoClose: false}) as AsyncIterable<Buffer>, unreadable))
  } finally {
    await file.close()
  }
}

/** A recording that breaks off on its way must not look like one that ends. */
function brokenOff(error: unknown): PosternError {
  return new PosternError('UNREACHABLE', `The recording broke off on its way: ${messageOf(error)}.`, {cause: error})
}

/** The same chunks. @throws PosternError what this makes of a failure between them */
async function* failing(
  chunks: AsyncIterable<Buffer>,
  describe: (error: unknown) => PosternError,
): AsyncGenerator<Buffer> {
  try {
    yield* chunks
  } catch (error) {
    throw describe(error)
  }
}
