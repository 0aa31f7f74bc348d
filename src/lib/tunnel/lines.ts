const newline = 0x0a

/** Cuts a byte stream into lines of limited length. */
export class Lines {
  readonly #maximumBytes: number
  #parts: Buffer[] = []
  #bytes = 0

  constructor(maximumBytes: number) {
    this.#maximumBytes = maximumBytes
  }

  /** The lines that these bytes complete, without their ends; undefined as soon as a line is too long. */
  push(chunk: Buffer): Buffer[] | undefined {
    const lines: Buffer[] = []
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      if (!this.#collect(chunk.subarray(start, end))) return undefined
      lines.push(Buffer.concat(this.#parts))
      this.#parts = []
      this.#bytes = 0
      start = end + 1
    }
    return this.#collect(chunk.subarray(start)) ? lines : undefined
  }

  #collect(part: Buffer): boolean {
    this.#bytes += part.length
    if (part.length > 0) this.#parts.push(part)
    return this.#bytes <= this.#maximumBytes
  }
}
