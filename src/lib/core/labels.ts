import {PosternError} from './errors.js'

/** Labels of a resource: plain keys and values. */
export type Labels = Readonly<Record<string, string>>

/** One `key=value` or `key="quoted, value"` and the comma after it. */
const piece = /([^=,"]+)=(?:\s*"([^"]*)"\s*|([^,"]*))(?:,|$)/y
const labelKey = /^\S+$/

/**
 * Labels from `k=v,k2="quoted, value"`.
 * @throws PosternError INVALID naming the part that is not a label.
 */
export function parseLabels(text: string): Record<string, string> {
  const labels: [string, string][] = []
  for (let position = 0; position < text.length; position = piece.lastIndex) {
    piece.lastIndex = position
    const [, key = '', quoted, plain = ''] = piece.exec(text) ?? []
    if (!labelKey.test(key.trim())) {
      const rest = text.slice(position).split(',')[0] ?? ''
      throw new PosternError('INVALID', `"${rest}" is not a label.`, {hint: 'Write labels as key=value,other="a, b".'})
    }
    labels.push([key.trim(), quoted ?? plain.trim()])
  }
  return Object.fromEntries(labels)
}

const internalPrefixes = ['postern.dev/', 'postern.hidden/', 'postern.internal/']

/** Whether a label is of our own making and hidden from short listings. */
export function isInternalLabel(key: string): boolean {
  return internalPrefixes.some((prefix) => key.startsWith(prefix))
}

const longestLabel = {key: 256, value: 1024}

/** Whether a tag of AWS can be a label: tags may be what labels cannot, and must not pass for labels of ours. */
export function isUsableLabel(key: string, value: string): boolean {
  if (key.length > longestLabel.key || value.length > longestLabel.value || key === '__proto__') return false
  return /^[^\s=,"]+$/.test(key) && !isInternalLabel(key)
}

/** `k=v` joined by commas: people's labels first, ours after, each sorted. */
export function formatLabels(labels: Labels, options: {readonly all: boolean} = {all: true}): string {
  const keys = Object.keys(labels).sort()
  const shown = [...keys.filter((key) => !isInternalLabel(key)), ...(options.all ? keys.filter(isInternalLabel) : [])]
  return shown.map((key) => `${key}=${labels[key] ?? ''}`).join(',')
}
