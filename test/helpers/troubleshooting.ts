import {expectDocumented as expectBlock} from './documented.js'

/** Texts that differ from run to run. */
const normalize = (text: string): string =>
  text
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '2026-11-20T12:00:00.000Z')
    .replace(/i-[0-9a-f]{17}/g, 'i-0123456789abcdef0')

/** Expects the page on refusals to show this text under the problem, word for word (documented.ts). */
export function expectDocumented(problem: string, text: string): Promise<void> {
  return expectBlock({page: 'troubleshooting.md', mark: problem, text: normalize(text)})
}
