import type {ServerResponse} from 'node:http'
import type {LineStream} from './route.js'

/** Unsent bytes that a slow reader may cause before it is cut off. */
const maximumQueue = 4 * 1024 * 1024

/** Answers with newline-delimited JSON that goes on until either side closes. */
export function streamLines({begin}: LineStream, response: ServerResponse): void {
  response.writeHead(200, {'content-type': 'application/x-ndjson', 'cache-control': 'no-store'})
  response.flushHeaders()
  response.on('error', () => {
    response.destroy()
  })
  begin({
    write: (line) => {
      if (response.destroyed || response.writableEnded) return false
      response.write(line)
      if (response.writableLength <= maximumQueue) return true
      response.destroy()
      return false
    },
    drained: () =>
      new Promise((resolve) => {
        if (response.destroyed || !response.writableNeedDrain) {
          resolve()
          return
        }
        const done = (): void => {
          response.off('drain', done).off('close', done)
          resolve()
        }
        response.on('drain', done).on('close', done)
      }),
    end: () => {
      // The other end must not wait for an answer that never completes: destroying says so at once.
      response.destroy()
    },
    onClose: (listener) => {
      response.on('close', listener)
    },
  })
}
