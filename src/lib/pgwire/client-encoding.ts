/**
 * Text of a client whose `client_encoding` is not UTF-8 (PostgreSQL manual, "Character Set Support"), read as the server
 * reads it. Whoever has the text and the encoding's name has the bytes: those that the encoding does not have become lone
 * surrogates, as in `decodeText`.
 */
import {isAscii} from 'node:buffer'
import {decodeText, keepBytes, type DecodeText} from './payload.js'

export interface ClientEncoding {
  /** As PostgreSQL spells it; undefined where texts are read as UTF-8. */
  readonly name: string | undefined
  readonly decode: DecodeText
}

/** Of clients with UTF8, and with what we do not know or nobody could: SQL_ASCII, MULE_INTERNAL. */
export const utf8: ClientEncoding = {name: undefined, decode: decodeText}

/** PostgreSQL's names of encodings with one byte for a character, with those that TextDecoder has for them. */
const singleByte: Readonly<Record<string, string>> = {
  ISO_8859_5: 'iso-8859-5',
  ISO_8859_6: 'iso-8859-6',
  ISO_8859_7: 'iso-8859-7',
  ISO_8859_8: 'iso-8859-8',
  KOI8R: 'koi8-r',
  KOI8U: 'koi8-u',
  LATIN2: 'iso-8859-2',
  LATIN3: 'iso-8859-3',
  LATIN4: 'iso-8859-4',
  LATIN6: 'iso-8859-10',
  LATIN7: 'iso-8859-13',
  LATIN8: 'iso-8859-14',
  LATIN9: 'iso-8859-15',
  WIN866: 'ibm866',
  WIN874: 'windows-874',
  WIN1250: 'windows-1250',
  WIN1251: 'windows-1251',
  WIN1253: 'windows-1253',
  WIN1254: 'windows-1254',
  WIN1255: 'windows-1255',
  WIN1256: 'windows-1256',
  WIN1257: 'windows-1257',
  WIN1258: 'windows-1258',
}

/**
 * LATIN1 and its likes, which differ from it in a few bytes. TextDecoder takes `iso-8859-1` for Windows' code page, as the
 * web does, and some versions of Node take that for LATIN1.
 */
const nearlyLatin1: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  LATIN1: {},
  LATIN5: {0xd0: 'Ğ', 0xdd: 'İ', 0xde: 'Ş', 0xf0: 'ğ', 0xfd: 'ı', 0xfe: 'ş'},
  WIN1252: {...from(0x80, '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ')},
}

/** What newer versions of Node read otherwise, as the web does; the server follows RFC 2319. */
const corrections: Readonly<Record<string, Readonly<Record<number, string>>>> = {KOI8U: {0xae: '╝', 0xbe: '╬'}}

/** Those with several bytes for a character; of EUC_TW, JOHAB and the two of 2004 TextDecoder has none, or another set. */
const multiByte: Readonly<Record<string, string>> = {
  BIG5: 'big5',
  EUC_CN: 'gb2312',
  EUC_JP: 'euc-jp',
  EUC_KR: 'euc-kr',
  GB18030: 'gb18030',
  GBK: 'gbk',
  SJIS: 'shift_jis',
  UHC: 'euc-kr',
}

/** What some decoders make of bytes that are no characters, and control characters that some of them swap. */
// eslint-disable-next-line no-control-regex
const noCharacters = /[\u001a\u001c\u007f-\u009f\uf8c1-\uf8ff]/

/** More than a part of a character takes. */
const longestPart = 3

const known = new Map<string, ClientEncoding>()

/** How to read the texts of a client. @param name as the server reports `client_encoding` */
export function clientEncoding(name: string): ClientEncoding {
  const found = known.get(name)
  if (found) return found
  const decode = decoderOf(name)
  if (!decode) return utf8
  const encoding = {name, decode}
  known.set(name, encoding)
  return encoding
}

/** A text in the encoding of this name; UTF-8 without one. */
export function decodeAs(bytes: Buffer, encoding?: string): string {
  return clientEncoding(encoding ?? '').decode(bytes)
}

function decoderOf(name: string): DecodeText | undefined {
  const differences = own(nearlyLatin1, name)
  if (differences) return withTable(name, (byte) => differences[byte] ?? String.fromCharCode(byte))
  const label = own(singleByte, name) ?? own(multiByte, name)
  const decode = label === undefined ? undefined : textDecoder(label)
  if (!decode) return undefined
  if (own(singleByte, name) === undefined) return wholeTexts(decode)
  const corrected = own(corrections, name)
  return withTable(name, (byte) => corrected?.[byte] ?? decode(Buffer.from([byte])))
}

function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined
}

/** Undefined when this Node does not know the encoding; what it gives is undefined for bytes that are no text. */
function textDecoder(label: string): ((bytes: Buffer) => string | undefined) | undefined {
  try {
    const decoder = new TextDecoder(label, {fatal: true, ignoreBOM: true})
    return (bytes) => {
      try {
        return decoder.decode(bytes)
      } catch {
        return undefined
      }
    }
  } catch {
    return undefined
  }
}

/** A decoder of encodings with one byte for a character; those below 0x80 are ASCII in all of them. */
function withTable(name: string, characterOf: (byte: number) => string | undefined): DecodeText {
  // Where Windows' code pages have nothing, decoders have control characters.
  const hasControls = !name.startsWith('WIN')
  const characters = Array.from({length: 0x80}, (_, index) => {
    const byte = 0x80 + index
    const character = characterOf(byte)
    const isThere = character !== undefined && (hasControls || character > '\u009f')
    return isThere ? character : keepBytes(Buffer.from([byte]))
  })
  return (bytes) =>
    bytes
      .toString('latin1')
      .replace(/[\u0080-\u00ff]/g, (character) => characters[character.charCodeAt(0) - 0x80] ?? character)
}

/** A decoder of the others. A text with bytes that are none of the encoding is kept byte for byte: so the server refuses it. */
function wholeTexts(decode: (bytes: Buffer) => string | undefined): DecodeText {
  return (bytes, isCut = false) => {
    if (isAscii(bytes)) return bytes.toString('latin1')
    for (let missing = 0; missing <= (isCut ? longestPart : 0); missing += 1) {
      const text = decode(bytes.subarray(0, bytes.length - missing))
      if (text !== undefined && !noCharacters.test(text)) return text
    }
    return keepBytes(bytes)
  }
}

function from(first: number, characters: string): Record<number, string> {
  return Object.fromEntries(Array.from(characters, (character, index) => [first + index, character]))
}
