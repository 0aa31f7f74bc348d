import {quoted} from '../core/shell-word.js'
import type {CompletedFlag, CompletedValue, Place} from './completion-places.js'

export function renderZsh(program: string, places: readonly Place[]): string {
  const name = `_${program}`
  return `#compdef ${program}
# Completion of ${program} for zsh. In ~/.zshrc, after compinit: source <(${program} completion zsh)
${name}_place() {
  next=() specs=()
  case "$1" in
${places.map(renderPlace).join('\n')}
  esac
}
${name}() {
  local -a next specs
  local at='' word
  integer index depth=1
  for ((index = 2; index < CURRENT; index++)); do
    word=$words[index]
    ${name}_place "$at"
    (( $#next )) || break
    (( $next[(I)$word:*] )) || return 1
    at="\${at:+$at }$word"
    depth=index
  done
  ${name}_place "$at"
  if (( $#next )) && [[ $words[CURRENT] != -* ]]; then
    _describe -t commands command next
    return
  fi
  words=("\${(@)words[depth,-1]}")
  (( CURRENT -= depth - 1 ))
  _arguments -s : $specs
}
if [[ $funcstack[1] == ${name} ]]; then
  ${name} "$@"
else
  compdef ${name} ${program}
fi`
}

function renderPlace({words, next, flags, arguments: args}: Place): string {
  const commands = next.map(({word, summary}) => quoted(`${word}:${summary}`))
  const specs = [
    ...flags.flatMap(renderFlag),
    ...args.map(({name, value}, index) => quoted(`${index + 1}:${escape(name)}:${action(value)}`)),
  ]
  return [
    `    ${quoted(words)})`,
    ...(commands.length > 0 ? ['      next=(', ...commands.map((each) => `        ${each}`), '      )'] : []),
    '      specs=(',
    ...specs.map((each) => `        ${each}`),
    '      )',
    '      ;;',
  ].join('\n')
}

/** `_arguments` takes `--name=` and `-c+` for flags whose value may follow at once or as the next word. */
function renderFlag({name, char, summary, multiple, value}: CompletedFlag): string[] {
  const both = char === undefined ? '' : `(--${name} -${char})`
  const often = multiple ? '*' : both
  const tail = `[${escape(summary)}]${value === undefined ? '' : `:value:${action(value)}`}`
  return [
    quoted(`${often}--${name}${value === undefined ? '' : '='}${tail}`),
    ...(char === undefined ? [] : [quoted(`${often}-${char}${value === undefined ? '' : '+'}${tail}`)]),
  ]
}

function action(value: CompletedValue): string {
  if (typeof value === 'object') return `(${value.oneOf.join(' ')})`
  return value === 'file' ? '_files' : ' '
}

/** What has a meaning in a specification of `_arguments`. */
const escape = (text: string): string => text.replace(/[[\]:\\]/g, (sign) => `\\${sign}`)
