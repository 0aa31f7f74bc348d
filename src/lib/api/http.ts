import {setFlagsFromString} from 'node:v8'
import type {Dispatcher, Pool as WholePool} from 'undici'

/** undici's pool with the one way of asking that we use. */
export type Pool = Pick<WholePool, 'request' | 'destroy'>

interface Http {
  readonly Pool: new (...parameters: ConstructorParameters<typeof WholePool>) => Pool
}

/**
 * The two parts of undici that an API client needs. All of undici is a hundred modules more (fetch, caches, mocks,
 * WebSocket) and wakes Node's own copy of it: twice the work of a command that asks one question.
 */
export async function loadHttp(): Promise<Http> {
  keepParserSimple()
  const [{default: PoolPart}, {default: request}] = await Promise.all([
    import('undici/lib/dispatcher/pool.js'),
    import('undici/lib/api/api-request.js'),
  ])
  return {
    Pool: class extends PoolPart {
      override request = (options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData> =>
        request.call(this, options)
    },
  }
}

/**
 * undici's parser is one huge WebAssembly function. V8 would optimize it after the first answers, for a tenth of a second
 * of a processor, and a process that is done waits for that. A few answers a second are not worth it.
 */
function keepParserSimple(): void {
  setFlagsFromString('--liftoff-only')
}
