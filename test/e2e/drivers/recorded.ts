type Event = Readonly<Record<string, unknown>>

/** The SQL of all statements of a session that the audit says were sent, in order. */
export function recordedStatements(events: readonly Event[]): string[] {
  return events.filter(({event}) => event === 'db.session.query').map(({db_query}) => String(db_query))
}
