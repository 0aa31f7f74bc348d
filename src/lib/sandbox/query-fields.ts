import {Fault} from './fault.js'

/** The form fields of a request in the AWS Query protocol, where a list is spread over numbered fields. */
export class QueryFields {
  readonly #fields: URLSearchParams

  constructor(text: string) {
    this.#fields = new URLSearchParams(text)
  }

  text(name: string): string | undefined {
    return this.#fields.get(name) ?? undefined
  }

  /** @throws Fault MissingParameter */
  required(name: string): string {
    const value = this.text(name)
    if (value !== undefined && value !== '') return value
    throw new Fault('MissingParameter', 400, `The request must contain the parameter ${name}`)
  }

  flag(name: string): boolean | undefined {
    const value = this.text(name)
    return value === undefined ? undefined : value === 'true'
  }

  /** @throws Fault InvalidParameterValue */
  integer(name: string): number | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    if (/^\d{1,9}$/.test(value)) return Number(value)
    throw new Fault('InvalidParameterValue', 400, `The value of ${name} is no number`)
  }

  /** Texts of a list: `ActionNames.member.1` and on. */
  list(prefix: string): string[] {
    return this.#numbered((index) => `${prefix}.${index}`).map((name) => this.text(name) ?? '')
  }

  /** Prefixes of a list of structures that have this member: `Tags.member.1.` and on. */
  structures(prefix: string, member: string): string[] {
    return this.#numbered((index) => `${prefix}.${index}.${member}`).map((name) => name.slice(0, -member.length))
  }

  #numbered(nameOf: (index: number) => string): string[] {
    const names: string[] = []
    while (this.#fields.has(nameOf(names.length + 1))) names.push(nameOf(names.length + 1))
    return names
  }
}
