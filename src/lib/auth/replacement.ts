import {PosternError} from '../core/errors.js'
import {kindNouns, type Kind} from '../resources/kinds.js'
import type {Resource} from '../resources/resource.js'
import {maskToken} from '../resources/token-name.js'
import {mayCall, missingPermission, type Caller} from './caller.js'
import type {Stored} from './records.js'

/** How a resource of some kind is read and written. */
interface Replacement<T> {
  readonly read: () => Promise<Stored<T> | undefined>
  readonly create: () => Promise<void>
  /** @throws PosternError CONFLICT when it has another revision by now */
  readonly swap: (current: Stored<T>) => Promise<void>
  readonly caller: Caller
}

/**
 * The one compare-and-swap of every kind: what the caller has read is replaced, or nothing is. A resource without a
 * revision replaces whatever is there, or is created.
 * @returns whether it was created
 * @throws PosternError CONFLICT naming both revisions, NOT_FOUND when it is gone, ACCESS_DENIED
 */
export async function replaceResource<T>(
  {kind, metadata}: Resource,
  {read, create, swap, caller}: Replacement<T>,
): Promise<boolean> {
  const sent = metadata.revision
  const current = await read()
  if (!current) {
    if (sent !== undefined) throw removedMeanwhile(kind, metadata.name, sent)
    // The route asks for `update` only.
    if (!mayCall(caller, kind, 'create')) throw missingPermission(kind, 'create')
    await create()
    return true
  }
  if (sent !== undefined && Number(sent) !== current.revision) {
    throw changedMeanwhile(kind, metadata.name, {sent, current})
  }
  try {
    await swap(current)
  } catch (error) {
    if (!(error instanceof PosternError && error.code === 'CONFLICT')) throw error
    // Somebody came between the two lines above.
    const now = await read()
    const revision = sent ?? String(current.revision)
    throw now
      ? changedMeanwhile(kind, metadata.name, {sent: revision, current: now})
      : removedMeanwhile(kind, metadata.name, revision)
  }
  return false
}

interface Revisions {
  readonly sent: string
  readonly current: Stored<unknown>
}

function changedMeanwhile(kind: Kind, name: string, {sent, current}: Revisions): PosternError {
  return new PosternError(
    'CONFLICT',
    `The ${describe(kind, name)} was changed meanwhile: your change is of revision ${sent}, and it has revision ${current.revision} by now.`,
    {hint: 'Get it again, make your change there, and send that.'},
  )
}

function removedMeanwhile(kind: Kind, name: string, sent: string): PosternError {
  return new PosternError('NOT_FOUND', `There is no ${describe(kind, name)} any more: you have its revision ${sent}.`)
}

function describe(kind: Kind, name: string): string {
  return `${kindNouns[kind]} "${kind === 'token' ? maskToken(name) : name}"`
}
