import {PosternError} from '../core/errors.js'
import {Secret} from '../core/secret.js'
import {isInteractive} from './terminal.js'

/** More than this is no password. */
const maximumPassword = 1024

/** @throws PosternError USAGE where there is no terminal to ask for a password on */
export function requireTerminal(): void {
  if (isInteractive()) return
  throw new PosternError('USAGE', 'There is no terminal to ask for the password on.', {
    hint: 'Give it on standard input, with --password-stdin.',
  })
}

/** Asks for a password without showing it. @throws PosternError USAGE where there is no terminal */
export async function askPassword(question: string): Promise<Secret> {
  requireTerminal()
  const {createPromptModule} = (await import('inquirer')).default
  const ask = createPromptModule({output: process.stderr})
  const {password} = await ask<{password: string}>([{type: 'password', name: 'password', message: question}])
  return new Secret(password)
}

/** Asks a question whose answer is no unless yes is typed. */
export async function askConfirmation(question: string): Promise<boolean> {
  const {createPromptModule} = (await import('inquirer')).default
  const ask = createPromptModule({output: process.stderr})
  const {answer} = await ask<{answer: boolean}>([{type: 'confirm', name: 'answer', message: question, default: false}])
  return answer
}

/** Asks for a new password twice. @throws PosternError USAGE or INVALID */
export async function askNewPassword(question: string): Promise<Secret> {
  const first = await askPassword(question)
  const second = await askPassword('The same again:')
  if (first.reveal() === second.reveal()) return first
  throw new PosternError('INVALID', 'The two passwords are not the same.', {hint: 'Try again.'})
}

/** The first line of standard input. @throws PosternError USAGE when it is empty */
export async function readPassword(input: AsyncIterable<Buffer | string> = process.stdin): Promise<Secret> {
  let text = ''
  for await (const chunk of input) {
    text += chunk.toString()
    if (text.includes('\n') || text.length > maximumPassword) break
  }
  const password = text.split('\n')[0]?.replace(/\r$/, '') ?? ''
  if (password === '' || password.length > maximumPassword) {
    throw new PosternError('USAGE', 'Standard input holds no password in its first line.')
  }
  return new Secret(password)
}
