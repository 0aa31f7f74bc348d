import type {Duplex} from 'node:stream'

/**
 * Calls when the other end leaves a connection that nobody reads for the time being: only when it is read does its end show.
 * What it has sent stays there to be read; who has sent something is there until the connection breaks.
 * @returns looks no more
 */
export function onDeparture(socket: Duplex, call: () => void): () => void {
  const look = (): void => {
    socket.read(0)
  }
  socket.on('readable', look).on('end', call).on('close', call)
  if (socket.destroyed || socket.readableEnded) call()
  return () => {
    socket.off('readable', look).off('end', call).off('close', call)
  }
}
