/** Whose credentials these are, whether AWS takes them, and what time it is there: one request that needs no permission. */
import type {Clock} from '../core/clock.js'
import type {AwsClients, Caller} from './clients.js'
import {using} from './clients.js'
import {parseIdentity, type IamIdentity} from './iam-identity.js'

export interface CallerFacts {
  readonly identity: IamIdentity | undefined
  /** Milliseconds that AWS' clock is ahead of this host's; undefined when AWS did not answer. */
  readonly skew: number | undefined
  /** Why AWS does not say who it is. */
  readonly failure: unknown
}

/** Never rejects. */
export async function askCaller(
  clients: AwsClients,
  caller: Caller,
  clock: Clock,
  signal: AbortSignal,
): Promise<CallerFacts> {
  let skew: number | undefined
  try {
    const {GetCallerIdentityCommand} = await import('@aws-sdk/client-sts')
    const {Arn = ''} = await using(await clients.sts(caller), (sts) => {
      sts.middlewareStack.add(
        (next) => async (input) => {
          const output = await next(input)
          const {headers} = output.response as {readonly headers?: Readonly<Record<string, string>>}
          const time = Date.parse(headers?.date ?? '')
          // Refusals carry the time as well, and a wrong clock is a reason for one.
          if (!Number.isNaN(time)) skew = time - clock.now()
          return output
        },
        {step: 'deserialize', priority: 'low', name: 'serverTime'},
      )
      return sts.send(new GetCallerIdentityCommand({}), {abortSignal: signal})
    })
    return {identity: parseIdentity(Arn), skew, failure: undefined}
  } catch (failure) {
    return {identity: undefined, skew, failure}
  }
}
