import {describe, expect, it} from '@jest/globals'
import {printable} from '../../../src/lib/core/printable.js'

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
})
