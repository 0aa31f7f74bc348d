import type {CompletedFlag, CompletedValue, Place} from './completion-places.js'

export function renderFish(program: string, places: readonly Place[]): string {
  const at = `__${program}_at`
  const topics = places.filter(({next}) => next.length > 0).map(({words}) => words)
  const known = places.map(({words}) => words).filter((words) => words !== '')
  return `# Completion of ${program} for fish. In ~/.config/fish/config.fish: ${program} completion fish | source
set -g __${program}_places ${known.map(quote).join(' ')}
set -g __${program}_topics ${topics.map(quote).join(' ')}
function ${at} --description 'Whether these command words, and no more, are typed'
    set -l words (commandline -opc)
    set -e words[1]
    set -l place
    for word in $words
        set -l longer (string join ' ' -- $place $word)
        if not contains -- "$longer" $__${program}_places
            # Under a topic this is no command; under a command it is a flag or an argument.
            contains -- "$place" $__${program}_topics; and return 1
            break
        end
        set place $longer
    end
    test "$place" = "$argv[1]"
end
complete -c ${program} -f
${places.flatMap((place) => renderPlace(place, `complete -c ${program} -n ${quote(`${at} ${doubleQuote(place.words)}`)}`)).join('\n')}`
}

function renderPlace({next, flags, arguments: [argument]}: Place, start: string): string[] {
  return [
    ...next.map(({word, summary}) => `${start} -a ${quote(word)} -d ${quote(summary)}`),
    ...flags.map((flag) => `${start} ${renderFlag(flag)}`),
    ...(argument && argument.value !== 'anything' ? [`${start} ${wordsOf(argument.value)}`] : []),
  ]
}

function renderFlag({name, char, summary, value}: CompletedFlag): string {
  const taking =
    value === undefined ? '' : value === 'file' ? ' -r -F' : ` -x${value === 'anything' ? '' : ` ${wordsOf(value)}`}`
  return `-l ${name}${char === undefined ? '' : ` -s ${char}`}${taking} -d ${quote(summary)}`
}

function wordsOf(value: Exclude<CompletedValue, 'anything'>): string {
  return value === 'file' ? '-F' : `-a ${quote(value.oneOf.join(' '))}`
}

const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
const doubleQuote = (text: string): string => `"${text}"`
