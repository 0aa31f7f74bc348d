import {messageOf, PosternError} from '../core/errors.js'

const newline = 0x0a
const maximumLineBytes = 4 * 1024 * 1024

/** The values of newline-delimited JSON as it arrives; empty lines only say that it goes on. @throws PosternError UNREACHABLE when it breaks off */
export async function* readJsonLines<T>(chunks: AsyncIterable<Buffer>): AsyncGenerator<T> {
  let rest: Buffer = Buffer.alloc(0)
  try {
    for await (const chunk of chunks) {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      let start = 0
      for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
        if (end > start) yield JSON.parse(bytes.toString('utf8', start, end)) as T
        start = end + 1
      }
      rest = bytes.subarray(start)
      if (rest.length > maximumLineBytes) throw new Error('a line of it does not end')
    }
  } catch (error) {
    throw new PosternError('UNREACHABLE', `The answer broke off on its way: ${messageOf(error)}.`, {cause: error})
  }
}
