import {access, readFile} from 'node:fs/promises'
import {expect, it} from '@jest/globals'

/** Ids and files of the rows of docs/security.md that begin with a case's id. */
async function rows(): Promise<[id: string, file: string][]> {
  const page = await readFile('docs/security.md', 'utf8')
  return [...page.matchAll(/^\| ([A-F]\d\d) +\|.*$/gm)].flatMap(([row, id = '']) =>
    [...row.matchAll(/`(test\/[^`]+\.ts)`/g)].map(([, file = '']): [string, string] => [id, file]),
  )
}

it('each case that docs/security.md names is in the title of a test, in the file that it names', async () => {
  const all = await rows()
  expect(all.length).toBeGreaterThan(0)
  for (const [id, file] of all) {
    const text = await readFile(file, 'utf8')
    // As a title itself, or as the first column of it.each.
    expect({id, file, found: new RegExp(`['"\`]${id}[:, ]`).test(text)}).toEqual({id, file, found: true})
  }
})

it('each file of tests that docs/security.md names is there', async () => {
  const page = await readFile('docs/security.md', 'utf8')
  const files = new Set(Array.from(page.matchAll(/`(test\/[^`*]+)(?:\*[^`]*)?`/g), ([, file = '']) => file))
  expect(files.size).toBeGreaterThan(50)
  for (const file of files) await access(file)
})
