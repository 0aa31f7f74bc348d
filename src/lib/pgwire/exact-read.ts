import type {Duplex} from 'node:stream'
import {PosternError} from '../core/errors.js'
import {afterRunning} from '../core/running-time.js'

/**
 * The next `count` bytes of a stream that nobody else reads. Later bytes stay in the stream.
 * @throws PosternError when the stream fails or ends before.
 */
export function readExactly(socket: Duplex, count: number): Promise<Buffer> {
  if (count === 0) return Promise.resolve(Buffer.alloc(0))
  return new Promise((resolve, reject) => {
    const settle = (outcome: () => void): void => {
      socket.off('readable', attempt).off('end', end).off('close', end).off('error', fail)
      outcome()
    }
    const fail = (error: Error): void => {
      settle(() => {
        reject(connectionFailure(error))
      })
    }
    const end = (): void => {
      fail(socket.errored ?? new PosternError('UNREACHABLE', 'The database server closed the connection.'))
    }
    const attempt = (): void => {
      const bytes = socket.read(count) as Buffer | null
      // A stream that has ended gives the few bytes it has left.
      if (bytes && bytes.length < count) end()
      else if (bytes) {
        settle(() => {
          resolve(bytes)
        })
      } else if (socket.destroyed || socket.readableEnded) end()
    }
    socket.on('readable', attempt).on('end', end).on('close', end).on('error', fail)
    attempt()
  })
}

function connectionFailure(error: NodeJS.ErrnoException): PosternError {
  if (error instanceof PosternError) return error
  const code = error.code ? ` (${error.code})` : ''
  return new PosternError('UNREACHABLE', `The connection to the database server failed${code}.`, {cause: error})
}

const ignore = (): void => undefined

/**
 * Runs a conversation on a socket under a deadline in milliseconds of running time. Whatever goes wrong destroys the socket: a connection
 * in the middle of a handshake is of no use to anybody.
 * @throws PosternError UNREACHABLE with the given sentence when the deadline passes.
 */
export async function withDeadline<T>(
  socket: Duplex,
  deadline: {readonly timeout: number; readonly sentence: string},
  converse: () => Promise<T>,
): Promise<T> {
  socket.on('error', ignore)
  const forget = afterRunning(deadline.timeout, () => {
    socket.destroy(new PosternError('UNREACHABLE', deadline.sentence))
  })
  try {
    return await converse()
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    forget()
    socket.off('error', ignore)
  }
}
