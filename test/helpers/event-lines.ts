export type EventFields = Readonly<Record<string, unknown>>

/** Events as an agent sends them. */
export function formatEvents(...events: readonly EventFields[]): Buffer {
  return Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join(''))
}

/** What an agent has sent. */
export function parseEvents(lines: Buffer): EventFields[] {
  return lines
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as EventFields)
}
