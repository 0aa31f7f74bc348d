import type {Clock} from './clock.js'

/** A time during which the process was held up counts for no more than one of so many parts. */
const parts = 10

/**
 * Calls once, after so many milliseconds in which the process was running. A process that was held up (stopped, or its
 * processor given to others) so reads what others sent it meanwhile before it judges that they were silent, also where
 * what they sent takes several turns to read.
 * @returns forgets it
 */
export function afterRunning(milliseconds: number, call: () => void): () => void {
  let left = parts
  const wait = (): NodeJS.Timeout =>
    setTimeout(() => {
      left -= 1
      if (left > 0) timer = wait()
      else call()
    }, milliseconds / parts)
  let timer = wait()
  return () => {
    clearTimeout(timer)
  }
}

/** A look that is so many intervals late is one of a process that was held up. */
const lateIntervals = 4

/**
 * Looks again and again. A process that was held up leaves one look out, so that it hears first what came meanwhile; one
 * that is always late looks at every other time.
 */
export function lookWhileRunning(milliseconds: number, clock: Clock, look: () => void): NodeJS.Timeout {
  let lastAt = clock.monotonic()
  let leftOut = false
  return setInterval(() => {
    const now = clock.monotonic()
    leftOut = !leftOut && now - lastAt > milliseconds * lateIntervals
    lastAt = now
    if (!leftOut) look()
  }, milliseconds)
}
