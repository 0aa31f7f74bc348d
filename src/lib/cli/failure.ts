import {PosternError, toPosternError} from '../core/errors.js'
import {printable} from '../core/printable.js'
import {nameCommands, otherName} from './calling-name.js'
import {nearCommands} from './near-commands.js'

/** Ctrl-C at a prompt, as a shell counts it: 128 and the number of the signal. */
const interruptedExit = 130

/** What the shell does about something that was thrown. */
export interface Failure {
  readonly exitCode: number
  /** For standard error; absent when there is nothing to say. */
  readonly text?: string
}

interface FailureOptions {
  readonly json: boolean
  readonly colour: boolean
  /** All commands there are, for when what was typed is none of them. */
  readonly commands?: () => readonly string[]
}

/** Turns anything thrown by a command, or by oclif before one, into an exit code and a text. */
export function describeFailure(thrown: unknown, {json, colour, commands}: FailureOptions): Failure {
  const shell = thrown as {code?: unknown; name?: unknown; oclif?: {exit?: unknown}; message?: unknown}
  if (shell.code === 'EEXIT') return {exitCode: Number(shell.oclif?.exit ?? 0)}
  if (lostOutputs.has(shell)) return {exitCode: outputLost}
  // The reader of our output has gone: there is nobody to tell.
  if (shell.code === 'EPIPE') return {exitCode: 0}
  if (shell.name === 'ExitPromptError') return {exitCode: interruptedExit}
  const error = inTheirWords(
    shell.oclif === undefined ? flagNamed(toPosternError(thrown)) : usageError(String(shell.message), commands),
  )
  const exitCode = error.exitCode
  return {exitCode, text: json ? renderJson(error) : renderText(error, colour)}
}

/** What was told already, for commands that notice it later. */
const lostOutputs = new WeakSet()
const outputLost = 1

/** As describeFailure, when the output cannot be written: told at once, as not every command notices. */
export function describeLostOutput(error: Error, options: FailureOptions): Failure {
  lostOutputs.add(error)
  const message = `The output cannot be written: ${error.message}.`
  return describeFailure(new PosternError('FAILED', message, {cause: error}), options)
}

/** Commands in sentences, as the user has to type them. */
function inTheirWords({code, message, hints, cause}: PosternError): PosternError {
  return new PosternError(code, nameCommands(message), {cause, hint: hints.map(nameCommands)})
}

/** What oclif writes around the message of an error that the reading of a flag threw. */
const aroundFlagError = /^Parsing (--\S+) \n\t([\s\S]*?)(?:\nSee more help with --help)?$/

/** An error about a flag's value, with the flag in front of it. */
function flagNamed(error: PosternError): PosternError {
  const [, flag, message] = aroundFlagError.exec(error.message) ?? []
  if (flag === undefined || message === undefined) return error
  return new PosternError(error.code, `${flag}: ${message}`, {cause: error, hint: error.hints})
}

/** oclif's own complaints, about flags and arguments, as ours. */
function usageError(message: string, commands: () => readonly string[] = () => []): PosternError {
  const unknown = /^command (.+) not found\.?$/i.exec(message)?.[1]
  if (unknown !== undefined) {
    const words = unknown.replaceAll(':', ' ')
    const elsewhere = otherName(words)
    const near = elsewhere === undefined ? nearCommands(words, commands()) : []
    return new PosternError('USAGE', `There is no command "${words}".`, {
      hint: [
        ...(elsewhere === undefined ? [] : [`It is \`${elsewhere} ${words}\`.`]),
        ...(near.length === 0 ? [] : [`Did you mean ${near.map((each) => `\`postern ${each}\``).join(' or ')}?`]),
        'Run `postern --help` to see the commands.',
      ],
    })
  }
  const [first = '', ...details] = message
    .replace(aroundFlagError, '$1: $2')
    .replace('See more help with --help', '')
    .split('\n')
    .map((line) => line.trim().replace(/^Missing required flag (\S+)$/, 'The flag --$1 is missing'))
    .filter((line) => line !== '' && !/^The following errors? occurred:$/.test(line))
  return new PosternError('USAGE', /[.:]$/.test(first) ? first : `${first}.`, {
    hint: [...details, 'Add --help to see what the command takes.'],
  })
}

function renderText({message, hints}: PosternError, colour: boolean): string {
  const label = colour ? '\u001b[31mERROR\u001b[39m' : 'ERROR'
  return [`${label}: ${printable(message)}`, ...hints.map((hint) => `  ${printable(hint)}`)].join('\n')
}

function renderJson({code, message, hints}: PosternError): string {
  return JSON.stringify({error: {code, message, hints}}, null, 4)
}

/** Whether the words after the command ask for JSON, told before they are parsed: parsing may be what failed. */
export function wantsJson(argv: readonly string[]): boolean {
  return argv.some(
    (word, index) =>
      /^(--format=|-f=?)json$/.test(word) || (word === 'json' && /^(--format|-f)$/.test(argv[index - 1] ?? '')),
  )
}
