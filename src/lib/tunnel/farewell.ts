import type {Socket} from 'node:net'

/** The other end has this long to take what was said last. */
const farewellMilliseconds = 2000

/** Sends what is queued, and these last words, then closes, also when the other end neither reads nor closes. */
export function endSoon(socket: Socket, lastWords?: Buffer): void {
  if (socket.destroyed) return
  if (socket.writable) {
    if (lastWords) socket.write(lastWords)
    socket.end()
  }
  const timer = setTimeout(() => socket.destroy(), farewellMilliseconds)
  socket.once('close', () => {
    clearTimeout(timer)
  })
  socket.resume()
}
