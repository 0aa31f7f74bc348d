import {describe, expect, it} from '@jest/globals'
import {printable, printableLines} from '../../../src/lib/core/printable.js'

describe('printable', () => {
  it.each([
    ['plain text, ünïcödé, 日本語 and 🙂', 'plain text, ünïcödé, 日本語 and 🙂'],
    ['a\nb', 'a\\u{a}b'],
    ['\u001B[31mred', '\\u{1b}[31mred'],
    ['\u009B2J', '\\u{9b}2J'],
    ['exe.\u202Etxt', 'exe.\\u{202e}txt'],
    ['ali\u200Bce', 'ali\\u{200b}ce'],
    ['\uD800', '\\u{d800}'],
    ['\u2028', '\\u{2028}'],
  ])('%j', (text, shown) => {
    expect(printable(text)).toBe(shown)
  })
  it('of lines leaves lines and tabs as they are', () => {
    expect(printableLines('one\u001B[2J\n\ttwo\u202E\r\n')).toBe('one\\u{1b}[2J\n\ttwo\\u{202e}\\u{d}\n')
  })
})
