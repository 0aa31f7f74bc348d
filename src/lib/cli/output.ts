import type {Format} from './flags.js'

const jsonIndent = 4

/** Data as the user wants it. @param text renders it for people; not called for the other formats */
export async function formatData(format: Format, data: unknown, text: () => string | Promise<string>): Promise<string> {
  if (format === 'json') return JSON.stringify(data, null, jsonIndent)
  if (format === 'text') return text()
  const {stringify} = await import('yaml')
  return stringify(data, {lineWidth: 0}).trimEnd()
}
