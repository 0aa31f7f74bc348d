import type {AuditEvent} from '../audit/event.js'
import type {Clock} from '../core/clock.js'
import {Playback} from './playback.js'

export const speeds = ['0.5x', '1x', '2x', '4x', '8x'] as const
export type Speed = (typeof speeds)[number]

/** With `--skip-idle-time` no pause is longer. */
const longestIdleMilliseconds = 500
/** Longer ones a timer of Node's does not keep. */
const longestTimerMilliseconds = 2 ** 31 - 1
const slowest = 0.25
const fastest = 16

export interface PlayerOptions {
  readonly speed: Speed
  readonly skipIdle: boolean
  readonly clock: Pick<Clock, 'monotonic'>
}

/** What a key does. */
const keys: ReadonlyMap<string, (player: Player) => void> = new Map([
  [
    ' ',
    (player) => {
      player.toggle()
    },
  ],
  [
    '+',
    (player) => {
      player.accelerate(2)
    },
  ],
  [
    '-',
    (player) => {
      player.accelerate(0.5)
    },
  ],
  [
    '\u001b[C',
    (player) => {
      player.step()
    },
  ],
  // The same of a terminal in its application mode.
  [
    '\u001bOC',
    (player) => {
      player.step()
    },
  ],
  [
    '.',
    (player) => {
      player.step()
    },
  ],
  [
    'q',
    (player) => {
      player.stop()
    },
  ],
  [
    '\u0003',
    (player) => {
      player.stop()
    },
  ],
])

/** In one line, for whoever sits there. */
export const keysHelp = 'Space pauses, + and - change the speed, → goes on to the next output, q ends it.'

/** Shows a session in its own time, or in a multiple of it; it can be held, stepped and stopped meanwhile. */
export class Player {
  readonly #options: PlayerOptions
  #speed: number
  #paused = false
  #stopped = false
  /** Outputs that are wanted at once. */
  #steps = 0
  #wake: () => void = () => undefined
  #onStop: () => void = () => undefined

  constructor(options: PlayerOptions) {
    this.#options = options
    this.#speed = Number.parseFloat(options.speed)
  }

  /** What was typed, as a terminal in raw mode sends it. */
  press(text: string): void {
    keys.get(text)?.(this)
    this.#wake()
  }

  toggle(): void {
    this.#paused = !this.#paused
  }

  accelerate(factor: number): void {
    this.#speed = Math.min(fastest, Math.max(slowest, this.#speed * factor))
  }

  step(): void {
    this.#steps += 1
  }

  stop(): void {
    this.#stopped = true
    this.#onStop()
  }

  /** The outputs of the session, each when its time has come. */
  async *play(events: AsyncIterable<AuditEvent>): AsyncGenerator<string> {
    const {clock} = this.#options
    const playback = new Playback()
    let shownAt: number | undefined
    let shown = clock.monotonic()
    for await (const event of this.#untilStopped(events)) {
      const text = playback.show(event)
      if (text === '') continue
      const time = Date.parse(String(event.time))
      if (shownAt !== undefined && time > shownAt) await this.#wait(time - shownAt, shown)
      // The compiler does not see that keys stop it.
      if (this.#isStopped()) return
      yield text
      shownAt = time
      shown = clock.monotonic()
    }
  }

  /** A live session may say nothing for long: whoever ends it does not wait for that. */
  async *#untilStopped(events: AsyncIterable<AuditEvent>): AsyncGenerator<AuditEvent> {
    const iterator = events[Symbol.asyncIterator]()
    while (!this.#stopped) {
      // A promise for each event: one for all of them would hold every event that ran against it.
      const result = await new Promise<IteratorResult<AuditEvent> | undefined>((resolve, reject) => {
        this.#onStop = () => {
          resolve(undefined)
        }
        iterator.next().then(resolve, reject)
      })
      if (result === undefined || result.done === true || this.#isStopped()) return
      yield result.value
    }
  }

  #isStopped(): boolean {
    return this.#stopped
  }

  /** Lets so many milliseconds of the session pass since a moment: of a live session they have passed already. */
  async #wait(gap: number, since: number): Promise<void> {
    const {clock, skipIdle} = this.#options
    let from = since
    for (let left = skipIdle ? Math.min(gap, longestIdleMilliseconds) : gap; left > 0 && !this.#stopped;) {
      if (this.#steps > 0) {
        this.#steps -= 1
        return
      }
      if (this.#paused) {
        await this.#changed()
        from = clock.monotonic()
        continue
      }
      const speed = this.#speed
      const rest = Math.max(0, left / speed - (clock.monotonic() - from))
      await this.#changed(Math.min(rest, longestTimerMilliseconds))
      const now = clock.monotonic()
      left -= (now - from) * speed
      from = now
    }
  }

  /** Resolves when a key is pressed, or after so many milliseconds. */
  #changed(milliseconds?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = milliseconds === undefined ? undefined : setTimeout(resolve, milliseconds)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
