type Event = Readonly<Record<string, unknown>>

/** The SQL of all statements of a session that the audit says were sent to be executed, in order. */
export function recordedStatements(events: readonly Event[]): string[] {
  const statements = new Map<unknown, string>()
  const portals = new Map<unknown, unknown>()
  return events.flatMap((event) => {
    switch (event.code) {
      case 'TDB02I':
      case 'TDB02W':
        return [String(event.db_query)]
      case 'TPG00I':
        statements.set(event.statement_name, String(event.query))
        return []
      case 'TPG01I':
        portals.set(event.portal_name, statements.get(event.statement_name))
        return []
      case 'TPG02I':
        return [String(portals.get(event.portal_name))]
      default:
        return []
    }
  })
}
