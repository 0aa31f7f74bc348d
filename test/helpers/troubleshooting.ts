import {expectDocumented as expectBlock} from './documented.js'

/** Texts that differ from run to run. */
const normalize = (text: string): string =>
  text
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '2026-11-20T12:00:00.000Z')
    .replace(/i-[0-9a-f]{17}/g, 'i-0123456789abcdef0')
    // Servers of tests have another port each time.
    .replace(/127\.0\.0\.1:\d+/g, '10.0.0.5:5432')
    .replace('host "127.0.0.1"', 'host "10.0.0.7"')
    // A machine without a name server.
    .replace('(EAI_AGAIN)', '(ENOTFOUND)')

/** Expects the page on refusals to show this text under the problem, word for word (documented.ts). */
export function expectDocumented(problem: string, text: string): Promise<void> {
  return expectBlock({page: 'troubleshooting.md', mark: problem, text: normalize(text)})
}

interface Printed {
  readonly severity: string | undefined
  readonly message: string
  readonly detail: string | undefined
  readonly hint: string | undefined
}

/** An error as psql prints it. */
export function psqlText({severity, message, detail, hint}: Partial<Printed>): string {
  const more = [
    ['DETAIL', detail],
    ['HINT', hint],
  ].flatMap(([name, text]) => (text === undefined ? [] : [`\n${String(name)}:  ${text}`]))
  return `${String(severity)}:  ${String(message)}${more.join('')}`
}
