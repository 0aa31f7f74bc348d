import {describeLostOutput} from './failure.js'
import {useColour} from './terminal.js'

/** Has a command fail whose output cannot be written, in the place of whoever listened for that before. */
export function noticeLostOutput({json}: {readonly json: boolean}): void {
  process.stdout.removeAllListeners('error').on('error', (error: NodeJS.ErrnoException) => {
    // Whoever reads it may leave early, as `head` does. And once is enough, where each line is lost.
    if (error.code === 'EPIPE' || process.exitCode !== undefined) return
    const {exitCode, text} = describeLostOutput(error, {json, colour: useColour(process.stderr)})
    if (text !== undefined) process.stderr.write(`${text}\n`)
    process.exitCode = exitCode
  })
  // Where nothing can be said any more, on a full disk, a service goes on with its work all the same.
  process.stderr.removeAllListeners('error').on('error', () => undefined)
}
