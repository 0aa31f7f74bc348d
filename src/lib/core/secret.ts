import {inspect} from 'node:util'

const hidden = '<secret>'

/** A value that logs, JSON and string conversion cannot show. Reading it takes an explicit `reveal()`. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  toString(): string {
    return hidden
  }

  toJSON(): string {
    return hidden
  }

  [inspect.custom](): string {
    return hidden
  }
}
