/**
 * Where the audit log begins since its oldest events were removed as too old: behind this seal. The control plane signs it,
 * so nobody else can say that something was removed by right.
 */
import {isSignedBy, type SealingKey, type SealKeys} from '../audit/seal.js'
import type {Backend, Change, EventSeal} from '../storage/backend.js'

/** The newest seal of what was removed. */
export interface PrunedHead extends Pick<EventSeal, 'number' | 'position' | 'events' | 'link'> {
  /** Milliseconds since 1970: everything that was removed had arrived before. */
  readonly olderThan: number
}

const key = 'audit_log/pruned'

/** Undefined when nothing was removed, or nobody who may has said so. */
export async function readPrunedHead(backend: Backend, keys: SealKeys): Promise<PrunedHead | undefined> {
  const stored = (await backend.get(key))?.value
  if (stored === undefined) return undefined
  const {signature, ...head} = JSON.parse(stored) as PrunedHead & {readonly signature: string}
  const [id = '', text = ''] = signature.split(':')
  return isSignedBy(signedText(head), {key: id, signature: text}, keys) ? head : undefined
}

export function writePrunedHead(head: PrunedHead, signer: SealingKey): Change {
  const signed = {...head, signature: `${signer.id}:${signer.sign(signedText(head))}`}
  return {type: 'put', key, value: JSON.stringify(signed)}
}

function signedText({number, position, events, link, olderThan}: PrunedHead): string {
  return `postern pruned events\n${number}\n${position}\n${events}\n${link}\n${olderThan}`
}
