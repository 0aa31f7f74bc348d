import {describe, expect, it} from '@jest/globals'
import {fitColumn, renderColumns, renderTable} from '../../../src/lib/cli/table.js'

describe('a table', () => {
  it('looks as the guides print it', async () => {
    const head = ['Name', 'Description', 'Labels']
    const rows = [['my-redshift', 'Redshift cluster in us-west-1', 'env=dev']]
    expect(await renderTable(head, rows)).toBe(
      [
        'Name        Description                   Labels',
        '----------- ----------------------------- -------',
        'my-redshift Redshift cluster in us-west-1 env=dev',
      ].join('\n'),
    )
  })

  it('without rows is its heading', async () => {
    expect(await renderTable(['User', 'Roles'], [])).toBe('User Roles\n---- -----')
  })

  it('leaves no spaces at the ends of lines', async () => {
    const text = await renderTable(
      ['Name', 'Labels'],
      [
        ['a', ''],
        ['long name', 'x'],
      ],
    )
    for (const line of text.split('\n')) expect(line).toBe(line.trimEnd())
  })

  it('aligns characters that are two columns wide', async () => {
    expect(
      await renderTable(
        ['A', 'B'],
        [
          ['表', 'x'],
          ['ab', 'y'],
        ],
      ),
    ).toBe('A  B\n-- -\n表 x\nab y')
  })

  it('cannot be forged by what stands in its cells', async () => {
    const text = await renderTable(
      ['Name', 'Text'],
      [
        ['a', 'one\nadmin  granted'],
        ['b', '\u001b[2Jgone\u202e'],
      ],
    )
    expect(text.split('\n')).toHaveLength(4)
    expect(text).not.toContain('\u001b')
    expect(text).not.toContain('\u202e')
  })

  it('takes cells that look like colours or templates as they are', async () => {
    expect(await renderTable(['A'], [['100%s {{x}} $1']])).toContain('100%s {{x}} $1')
  })
})

it('rows without a heading are aligned', async () => {
  expect(
    await renderColumns([
      ['Cluster ', 'example.com'],
      ['CA pin  ', 'sha256:00'],
    ]),
  ).toBe('Cluster  example.com\nCA pin   sha256:00')
})

describe('a column that is fitted', () => {
  const head = ['Name', 'Labels', 'Connect']
  const rows = [['orders', 'env=dev,team=shop,region=us-west-1', 'postern db connect orders']]

  it('is cut where the terminal ends', async () => {
    const text = await renderTable(head, await fitColumn(rows, {head, column: 1, width: 60}))
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(60)
    expect(text).toContain('env=dev,team=shop,regio...')
    expect(text).toContain('postern db connect orders')
  })

  it('stays whole where there is room, and readable where there is none', async () => {
    expect(await fitColumn(rows, {head, column: 1, width: 200})).toEqual(rows)
    expect((await fitColumn(rows, {head, column: 1, width: 10}))[0]?.[1]).toBe('env=dev,t...')
  })

  it.each([
    // Two columns each: 10 of them would end in the middle of one.
    ['顧客顧客顧客顧客顧客', '顧客顧客...'],
    ['😀😀😀😀😀😀😀😀😀😀', '😀😀😀😀...'],
    // Shown as \\u{1b}, which is five columns longer.
    ['\u001b[31mselect 1', String.raw`\u{1b}[31...`],
  ])('is measured as a terminal shows it: %j', async (cell, shown) => {
    const wide = await fitColumn([['a', cell, 'b']], {head: ['A', 'B', 'C'], column: 1, width: 16})
    expect(wide[0]?.[1]).toBe(shown)
  })
})
