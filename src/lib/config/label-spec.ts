import {parseDuration} from '../core/duration.js'
import {PosternError} from '../core/errors.js'
import {parseLabels} from '../core/labels.js'
import type {DynamicLabel} from './settings.js'

/** Labels as they are written on a command line. */
export interface LabelSpec {
  readonly staticLabels: Readonly<Record<string, string>>
  readonly dynamicLabels: readonly DynamicLabel[]
}

/** Shorter bracketed values are plain text: `[1h:x]` is the shortest command worth the name. */
const minimumCommandLength = 6

/**
 * Labels from `key=value,key2="quoted, value",key3=[1m:command "its argument"]`.
 * @throws PosternError INVALID naming the part that is not a label.
 */
export function parseLabelSpec(text: string): LabelSpec {
  const staticLabels: Record<string, string> = {}
  const dynamicLabels: DynamicLabel[] = []
  for (const piece of splitOutsideQuotes(text)) {
    // A command may hold quotes of its own, which the label parser would take for the end of the value.
    const bracketed = /^\s*([^\s=,"]+)=(\[.*\])\s*$/s.exec(piece)
    const labels = bracketed?.[1] ? {[bracketed[1]]: bracketed[2] ?? ''} : parseLabels(piece)
    for (const [name, value] of Object.entries(labels)) {
      if (isCommand(value)) dynamicLabels.push(parseCommand(name, value))
      else staticLabels[name] = value
    }
  }
  return {staticLabels, dynamicLabels}
}

const splitOutsideQuotes = (text: string): string[] => text.match(/(?:"[^"]*"|[^,])+/g) ?? []

const isCommand = (value: string): boolean =>
  value.length >= minimumCommandLength && value.startsWith('[') && value.endsWith(']')

function parseCommand(name: string, value: string): DynamicLabel {
  const invalid = (cause?: unknown): PosternError =>
    new PosternError('INVALID', `"${name}=${value}" is not a label with a command.`, {
      hint: 'Write it as key=[period:command], for example host=[1m:/bin/hostname].',
      cause,
    })
  const [, period, line] = /^\[([^:]*):(.*)\]$/s.exec(value) ?? []
  const command = (line?.match(/(?:"[^"]*"|[^\s"])+/g) ?? []).map((word) => word.replaceAll('"', ''))
  if (period === undefined || command.length === 0) throw invalid()
  return {name, period: parsePeriod(period, invalid), command}
}

/** In whole seconds: configuration files are written with no more. */
function parsePeriod(text: string, invalid: (cause?: unknown) => PosternError): number {
  try {
    const period = parseDuration(text)
    if (period >= 1000 && period % 1000 === 0) return period
  } catch (error) {
    throw invalid(error)
  }
  throw invalid()
}
