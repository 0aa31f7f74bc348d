import type {ReadStream} from 'node:tty'

/** One key as a terminal sends it: a cursor or function key in either of its forms, or a character. */
// eslint-disable-next-line no-control-regex
const key = /\u001b(?:\[[0-9;]*[@-~]|O.)|./gsu

/** Hands on what is typed, key by key, until it is told to stop; without a terminal nothing is typed. */
export function listenToKeys(input: ReadStream | undefined, onKey: (text: string) => void): () => void {
  if (!input) return () => undefined
  const onData = (data: Buffer): void => {
    // Keys that are pressed fast, or while this process was busy, come together.
    for (const [each] of data.toString('utf8').matchAll(key)) onKey(each)
  }
  input.setRawMode(true).on('data', onData).resume()
  return () => {
    input.off('data', onData).setRawMode(false).pause()
  }
}
