import type {ReadStream} from 'node:tty'

/** Hands on what is typed, key by key, until it is told to stop; without a terminal nothing is typed. */
export function listenToKeys(input: ReadStream, onKey: (text: string) => void): () => void {
  if (!input.isTTY) return () => undefined
  const onData = (data: Buffer): void => {
    onKey(data.toString('utf8'))
  }
  input.setRawMode(true).on('data', onData).resume()
  return () => {
    input.off('data', onData).setRawMode(false).pause()
  }
}
