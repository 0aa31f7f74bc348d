import {Command} from '@oclif/core/command'
import {Config} from '@oclif/core/config'
import type {LoadOptions} from '@oclif/core/interfaces'
import {systemClock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import {printableLines} from '../core/printable.js'
import {readEnvironment, type Surroundings} from './environment.js'
import {describeFailure, wantsJson} from './failure.js'
import type {Format} from './flags.js'
import {noticeLostOutput} from './lost-output.js'
import {formatData, type Printable} from './output.js'
import {useColour} from './terminal.js'

/** What every command is: parse, call one thing, return the data, print it. Errors become a sentence and an exit code. */
export abstract class BaseCommand extends Command {
  /** Whether words may follow `--`; they are for another program. */
  static readonly takesProgramWords: boolean = false
  /** The words after `--`. They are taken off before anything is parsed, so that no flag of ours is looked for in them. */
  protected readonly programWords: readonly string[]
  protected readonly surroundings: Surroundings = {environment: readEnvironment(), clock: systemClock}

  constructor(argv: string[], config: Config) {
    const end = argv.indexOf('--')
    super(end < 0 ? argv : argv.slice(0, end), config)
    this.programWords = end < 0 ? [] : argv.slice(end + 1)
  }

  /** As oclif's own, which would load a Config that it is given again. */
  static override run<T extends Command>(
    this: new (argv: string[], config: Config) => T,
    argv?: string[],
    options?: LoadOptions,
  ): Promise<ReturnType<T['run']>> {
    if (argv && options instanceof Config) {
      const command = new this(argv, options) as unknown as {_run(): Promise<ReturnType<T['run']>>}
      return command._run()
    }
    return super.run(argv, options) as unknown as Promise<ReturnType<T['run']>>
  }

  override async init(): Promise<void> {
    await super.init()
    // oclif listens too, from when it is loaded, and throws.
    noticeLostOutput({json: wantsJson(this.argv)})
    const {takesProgramWords} = this.constructor as typeof BaseCommand
    if (this.programWords.length > 0 && !takesProgramWords) {
      throw new PosternError('USAGE', 'This command takes nothing after "--".')
    }
  }

  /** Prints data in the wanted format, and returns it. */
  protected async show<T>(
    format: Format,
    data: T & NoInfer<Printable<T>>,
    text: (data: NoInfer<T>) => string | Promise<string>,
  ): Promise<T> {
    const rendered = await formatData<T>(format, data, () => text(data))
    if (rendered !== '') this.print(rendered)
    return data
  }

  /** Lines for whoever reads the output. */
  protected print(text: string): void {
    process.stdout.write(`${text}\n`)
  }

  /** Lines for the person at the terminal, never part of the output. */
  protected say(text: string): void {
    process.stderr.write(`${printableLines(text)}\n`)
  }

  protected override catch(error: Error): Promise<void> {
    const {exitCode, text} = describeFailure(error, {json: wantsJson(this.argv), colour: useColour(process.stderr)})
    if (text !== undefined) process.stderr.write(`${text}\n`)
    process.exitCode = exitCode
    return Promise.resolve()
  }
}
