import {PosternError} from '../core/errors.js'

/** Reads something the user typed: what cannot be read is a mistake of usage. @throws PosternError USAGE */
export function asUsage<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof PosternError)) throw error
    throw new PosternError('USAGE', error.message, {cause: error, hint: error.hints})
  }
}
