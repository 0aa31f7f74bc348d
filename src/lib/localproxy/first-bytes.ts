import type {Duplex} from 'node:stream'
import {PosternError} from '../core/errors.js'
import {afterRunning} from '../core/running-time.js'

/**
 * Collects bytes of a stream until `judge` has seen enough to answer, and leaves the stream paused with what is left over
 * still in it: `judge` gets everything so far and returns its answer with the number of bytes that it used up.
 * @throws PosternError UNREACHABLE when the stream ends, or the time or the size runs out, before there is an answer
 */
export function readUntil<T>(
  stream: Duplex,
  limits: {readonly bytes: number; readonly milliseconds: number},
  judge: (bytes: Buffer) => {readonly answer: T; readonly used: number} | undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0)
    const release = (): void => {
      forget()
      stream.off('readable', onReadable).off('error', onEnd).off('end', onEnd).off('close', onEnd)
    }
    const fail = (why: string): void => {
      release()
      reject(new PosternError('UNREACHABLE', `The connection ${why}.`))
    }
    const onEnd = (): void => {
      fail('was closed by the other end')
    }
    const onReadable = (): void => {
      for (let chunk = stream.read() as Buffer | null; chunk; chunk = stream.read() as Buffer | null) {
        received = Buffer.concat([received, chunk])
        const judged = judge(received)
        if (judged) {
          release()
          const rest = received.subarray(judged.used)
          if (rest.length > 0) stream.unshift(rest)
          resolve(judged.answer)
          return
        }
        if (received.length >= limits.bytes) {
          fail('sent too much before it made sense')
          return
        }
      }
    }
    const forget = afterRunning(limits.milliseconds, () => {
      fail('was silent for too long')
    })
    stream.on('readable', onReadable).on('error', onEnd).on('end', onEnd).on('close', onEnd)
    onReadable()
  })
}
