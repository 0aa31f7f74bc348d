/**
 * A refusal that a fake service sends to its client: AWS's own code and text, because clients look for them. It never
 * reaches a user of Postern as one of ours, so it is no PosternError.
 */
export class Fault extends Error {
  override readonly name = 'Fault'
  readonly code: string
  /** HTTP. */
  readonly status: number

  constructor(code: string, status: number, message: string) {
    super(message)
    this.code = code
    this.status = status
  }
}

export const validationError = (message: string): Fault => new Fault('ValidationError', 400, message)
