import {readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {expect} from '@jest/globals'

const page = join(process.cwd(), 'docs', 'troubleshooting.md')

/** Texts that differ from run to run. */
const normalize = (text: string): string =>
  text
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '2026-11-20T12:00:00.000Z')
    .replace(/i-[0-9a-f]{17}/g, 'i-0123456789abcdef0')

/**
 * Expects the page to show this text under the problem, word for word. POSTERN_UPDATE_DOCS=1 writes it there instead;
 * the section itself is a person's to write.
 */
export async function expectDocumented(problem: string, text: string): Promise<void> {
  const content = await readFile(page, 'utf8')
  const block = `<!-- ${problem} -->\n\n\`\`\`\n${normalize(text)}\n\`\`\``
  const place = new RegExp(`<!-- ${problem} -->\n\n\`\`\`\n[^]*?\n\`\`\``)
  if (process.env.POSTERN_UPDATE_DOCS === '1') {
    if (!place.test(content)) throw new Error(`the page has no section for ${problem}`)
    await writeFile(
      page,
      content.replace(place, () => block),
    )
    return
  }
  expect(content).toContain(block)
}
