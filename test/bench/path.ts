import type {BenchDatabase} from './database.js'
import type {Endpoint} from './endpoint.js'

/** A running way to the database. */
export interface Path {
  readonly endpoint: Endpoint
  /** The first process of each part between client and server, and of those beside; their children count with them. */
  readonly processes: Readonly<Record<string, number>>
  /** For commands of Postern that reach the same database. */
  readonly person?: NodeJS.ProcessEnv
  stop(): Promise<void>
}

/** Where a path may keep files, and what it leads to. */
export interface Place {
  /** Of this path alone. */
  readonly directory: string
  readonly database: BenchDatabase
  /** For the Node of Postern's processes. */
  readonly nodeFlags: readonly string[]
}

export interface PathDefinition {
  readonly name: string
  readonly description: string
  /** Why it cannot be measured here; undefined when it can. */
  missing(): Promise<string | undefined>
  start(place: Place): Promise<Path>
}

/** Stops parts in the reverse order of their start, also when the start of a later one fails. */
export async function assemble<T>(
  build: (parts: {stop(): Promise<void>}[]) => Promise<T>,
): Promise<T & {stop(): Promise<void>}> {
  const parts: {stop(): Promise<void>}[] = []
  const stop = async (): Promise<void> => {
    for (const part of parts.splice(0).reverse()) await part.stop()
  }
  try {
    return {...(await build(parts)), stop}
  } catch (error) {
    await stop()
    throw error
  }
}
