/** Contents of an answer: an array repeats its element, undefined leaves it out. */
export type XmlValue = string | number | boolean | undefined | XmlObject | readonly XmlValue[]

export interface XmlObject {
  readonly [name: string]: XmlValue
}

const escapes: Readonly<Record<string, string>> = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;'}

const escapeXml = (text: string): string => text.replace(/[&<>"]/g, (sign) => escapes[sign] ?? sign)

// Array.isArray does not narrow a read-only array.
const isList = (value: XmlValue): value is readonly XmlValue[] => Array.isArray(value)

/** One element with its contents. */
export function writeXml(name: string, value: XmlValue, attributes = ''): string {
  if (value === undefined) return ''
  if (isList(value)) return value.map((item) => writeXml(name, item)).join('')
  const content = typeof value === 'object' ? writeChildren(value) : escapeXml(String(value))
  return `<${name}${attributes}>${content}</${name}>`
}

function writeChildren(value: XmlObject): string {
  return Object.entries(value)
    .map(([child, item]) => writeXml(child, item))
    .join('')
}

/** A time as AWS's XML has it. */
export const xmlTime = (milliseconds: number): string => new Date(milliseconds).toISOString()
