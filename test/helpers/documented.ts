import {readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {expect} from '@jest/globals'

/** A block of text in a page of docs, under its mark `<!-- mark -->`. */
export interface Documented {
  /** File in docs. */
  readonly page: string
  readonly mark: string
  readonly text: string
  /** For highlighting. */
  readonly language?: string
}

/**
 * Expects the page to show this text under its mark, word for word. POSTERN_UPDATE_DOCS=1 writes it there instead; the
 * section itself is a person's to write.
 */
export async function expectDocumented({page, mark, text, language = ''}: Documented): Promise<void> {
  const file = join(process.cwd(), 'docs', page)
  const content = await readFile(file, 'utf8')
  const block = `<!-- ${mark} -->\n\n\`\`\`${language}\n${text}\n\`\`\``
  const place = new RegExp(`<!-- ${mark} -->\n\n\`\`\`${language}\n[^]*?\n\`\`\``)
  if (process.env.POSTERN_UPDATE_DOCS === '1') {
    if (!place.test(content)) throw new Error(`the page has no section for ${mark}`)
    await writeFile(
      file,
      content.replace(place, () => block),
    )
    return
  }
  expect(content).toContain(block)
}
