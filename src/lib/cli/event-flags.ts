import * as Flags from '@oclif/core/flags'
import type {ListEventsQuery} from '../api/requests.js'
import {PosternError} from '../core/errors.js'
import {parseMoment} from './audit-text.js'
import {list} from './flags.js'
import {requireSession} from './recording-source.js'

/** Which events, for commands that read the audit log. */
export const eventFlags = {
  user: Flags.string({description: 'only events of this user', helpValue: 'NAME'}),
  event: Flags.string({
    ...list,
    description: 'only events of these types, as db.session.start or user.*',
    helpValue: 'TYPE,',
  }),
  code: Flags.string({description: 'only events with this code, as TDB00W', helpValue: 'CODE'}),
  session: Flags.string({description: 'only events of this session', helpValue: 'ID'}),
  db: Flags.string({description: 'only events of this database', helpValue: 'NAME'}),
  failed: Flags.boolean({default: false, description: 'only events of what failed or was refused'}),
  from: Flags.string({description: 'only events at or after this moment', helpValue: 'MOMENT'}),
  to: Flags.string({description: 'only events up to this moment', helpValue: 'MOMENT'}),
}

/** A place in the audit log, as `audit export` writes it. @throws PosternError USAGE */
export function parseCursor(text: string): string {
  if (/^\d{1,15}$/.test(text)) return text
  throw new PosternError('USAGE', `"${text}" is not a cursor.`, {
    hint: 'Each event that `postern audit export` writes has its own.',
  })
}

export const cursor = Flags.custom({
  parse: (text) => Promise.resolve(parseCursor(text)),
  helpValue: 'CURSOR',
})

/** The values of `eventFlags`. */
interface EventChoice {
  readonly user?: string | undefined
  readonly event?: readonly string[] | undefined
  readonly code?: string | undefined
  readonly session?: string | undefined
  readonly db?: string | undefined
  readonly failed: boolean
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/** As the control plane is asked. @throws PosternError USAGE */
export function eventQuery(choice: EventChoice, now: number): ListEventsQuery {
  const {user, event, code, session, db, failed, from, to} = choice
  const sid = session === undefined ? undefined : requireSession(session).sid
  return {
    ...{user, code, sid, db, event: event?.join(',')},
    ...(failed && {success: 'false'}),
    from: from === undefined ? undefined : parseMoment(from, now),
    to: to === undefined ? undefined : parseMoment(to, now),
  }
}
