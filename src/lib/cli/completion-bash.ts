import type {CompletedValue, Place} from './completion-places.js'

/** For bash 4 and later, without the bash-completion package. */
export function renderBash(program: string, places: readonly Place[]): string {
  const name = `_${program}`
  return `# Completion of ${program} for bash. In ~/.bashrc: source <(${program} completion bash)
${name}_place() {
  commands='' flags=''
  case "$1" in
${places.map((place) => `    ${quote(place.words)}) commands=${quote(place.next.map(({word}) => word).join(' '))} flags=${quote(flagWords(place))} ;;`).join('\n')}
  esac
}
${name}_value() {
  case "$1" in
${places.flatMap(valueCases).join('\n')}
    *) values=switch ;;
  esac
}
${name}() {
  COMPREPLY=()
  local word at='' commands flags values index current previous
  current=\${COMP_WORDS[COMP_CWORD]}
  previous=\${COMP_WORDS[COMP_CWORD-1]}
  # bash takes --flag=value for three words.
  if [[ $current == = ]]; then
    current=''
  elif [[ $previous == = ]]; then
    previous=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    ${name}_place "$at"
    [[ -n $commands ]] || break
    [[ " $commands " == *" $word "* ]] || return 0
    at="\${at:+$at }$word"
  done
  ${name}_place "$at"
  values=switch
  [[ $previous != -* ]] || ${name}_value "$at $previous"
  if [[ $values == switch ]]; then
    if [[ $current == -* ]]; then
      values=$flags
    elif [[ -n $commands ]]; then
      values=$commands
    else
      ${name}_value "$at"
    fi
  fi
  case $values in
    switch | anything) ;;
    files)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current") ;;
  esac
}
complete -F ${name} ${program}`
}

const quote = (text: string): string => `'${text}'`

function flagWords({flags}: Place): string {
  return flags.flatMap(({name, char}) => [`--${name}`, ...(char === undefined ? [] : [`-${char}`])]).join(' ')
}

/** What follows each flag that takes a value, and what the first argument is. */
function valueCases({words, flags, arguments: [argument]}: Place): string[] {
  const cases = flags.flatMap(({name, char, value}) => {
    if (value === undefined) return []
    const patterns = [`--${name}`, ...(char === undefined ? [] : [`-${char}`])]
    return [[patterns.map((flag) => quote(`${words} ${flag}`)).join(' | '), value] as const]
  })
  const all = argument ? [...cases, [quote(words), argument.value] as const] : cases
  return all.map(([pattern, value]) => `    ${pattern}) values=${quote(render(value))} ;;`)
}

function render(value: CompletedValue): string {
  if (typeof value === 'object') return value.oneOf.join(' ')
  return value === 'file' ? 'files' : value
}
