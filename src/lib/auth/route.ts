import type {IncomingHttpHeaders} from 'node:http'
import {Readable} from 'node:stream'
import type {z} from 'zod'
import {PosternError} from '../core/errors.js'
import type {SystemRole} from '../pki/identity.js'
import {describeIssues} from '../resources/resource.js'
import type {Verb} from '../resources/role.js'
import type {Caller, HostCaller, UserCaller} from './caller.js'

/** Who may call a route. There is no default: a route without it does not start. */
export type Access =
  /** Anyone who can connect; login, joining, invites, the web. */
  | {readonly kind: 'public'}
  /** Any user or host of the cluster. */
  | {readonly kind: 'member'}
  /** Any user, for what is their own. */
  | {readonly kind: 'user'}
  /** Users whose roles grant it, and the admin identity. */
  | {
      readonly kind: 'permission'
      readonly resource: string
      readonly verbs: readonly Verb[]
      /** Rules with conditions count too: the handler checks each resource (auth/guarded-resources.ts). */
      readonly some: boolean
    }
  | {readonly kind: 'host'; readonly systemRoles: readonly SystemRole[]}

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

/** What a handler sees of a request. */
export interface Call<Body = unknown, Who = undefined> {
  readonly caller: Who
  readonly body: Body
  readonly parameters: Readonly<Record<string, string>>
  readonly query: unknown
  readonly headers: IncomingHttpHeaders
  /** Where the connection comes from. */
  readonly client: Client
}

export interface Client {
  /** `ip:port` for the audit log. */
  readonly source: string
  /** The client's own address for limits; undefined where a proxy may stand between, whose users share one. */
  readonly address: string | undefined
}

/** An answer that is not JSON with status 200. */
export class Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Readable

  constructor(status: number, headers: Readonly<Record<string, string>>, body: string | Readable) {
    this.status = status
    this.headers = headers
    this.body = body
  }
}

/** An answer that goes on: lines are pushed until either side closes. */
export class LineStream {
  readonly begin: (sink: LineSink) => void

  constructor(begin: (sink: LineSink) => void) {
    this.begin = begin
  }
}

export interface LineSink {
  /** Whether the line fits the queue; when not, the reader was too slow and is cut off. */
  write(line: string): boolean
  /** Settles when the queue has room again, or the other end is gone. */
  drained(): Promise<void>
  end(): void
  onClose(listener: () => void): void
}

/** Sooner than clients take an answer that does not begin for none. */
const pulseMilliseconds = 5000

/**
 * Items as newline-delimited JSON, as fast as they are read, with empty lines while there is none for long. The first one, or
 * the error before it, decides about the status if it comes soon; later errors break the answer off.
 */
export async function streamOf(items: AsyncGenerator, pulse = pulseMilliseconds): Promise<Answer> {
  let next = items.next()
  await soon(next, pulse)
  async function* lines(): AsyncGenerator<string> {
    try {
      for (;;) {
        const item = await soon(next, pulse)
        if (item?.done) return
        yield item ? `${JSON.stringify(item.value)}\n` : '\n'
        if (item) next = items.next()
      }
    } finally {
      // Whoever asked may be gone.
      items.return(undefined).catch(() => undefined)
    }
  }
  return new Answer(200, {'content-type': 'application/x-ndjson', 'cache-control': 'no-store'}, Readable.from(lines()))
}

/** Undefined when it takes longer. */
async function soon<T>(value: Promise<T>, milliseconds: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => {
      resolve(undefined)
    }, milliseconds)
  })
  try {
    return await Promise.race([value, late])
  } finally {
    clearTimeout(timer)
  }
}

/** The parameters behind the question mark. @throws PosternError INVALID */
export function readQuery<T extends z.ZodType>(schema: T, query: unknown): z.output<T> {
  const checked = schema.safeParse(query)
  if (checked.success) return checked.data
  throw new PosternError('INVALID', `The question is not valid: ${describeIssues(checked.error)}.`)
}

export interface Route {
  readonly method: Method
  readonly path: string
  readonly access: Access
  readonly schema?: z.ZodType | undefined
  readonly bodyLimit?: number | undefined
  readonly handle: (call: Call<never, never>) => unknown
}

interface Details<Body> {
  readonly body?: z.ZodType<Body>
  /** Bytes; 64 KiB unless told. */
  readonly bodyLimit?: number
}

type Maker<Who> = <Body = undefined>(
  method: Method,
  path: string,
  details: Details<Body>,
  handle: (call: Call<Body, Who>) => unknown,
) => Route

/** Gives handlers the type of caller that the access lets through. */
const makerOf =
  <Who>(access: Access): Maker<Who> =>
  (method, path, {body, bodyLimit}, handle) => ({method, path, access, schema: body, bodyLimit, handle})

export const publicRoute = makerOf<undefined>({kind: 'public'})
export const memberRoute = makerOf<Caller>({kind: 'member'})
export const userRoute = makerOf<UserCaller>({kind: 'user'})
export const permittedRoute = (resource: string, verb: Verb): Maker<Caller> =>
  makerOf({kind: 'permission', resource, verbs: [verb], some: false})
/** For one of the verbs, on some resources of the kind. */
export const guardedRoute = (resource: string, ...verbs: Verb[]): Maker<Caller> =>
  makerOf({kind: 'permission', resource, verbs, some: true})
export const hostRoute = (...systemRoles: SystemRole[]): Maker<HostCaller> => makerOf({kind: 'host', systemRoles})
