import type {DecodeText, Payload} from '../pgwire/payload.js'
import {decodeRowDescription, type Column} from '../pgwire/server-messages.js'
import {typeName} from '../pgwire/type-names.js'

/** Of the columns that an event lists, as JSON. */
const maximumBytes = 16_384
/** A RowDescription of this size is remembered. */
const rememberedBytes = 2048
const nothing = Buffer.alloc(0)

/** Names and types of result columns, as JSON. Programs ask for the same ones again and again. */
export class Columns {
  #payload = nothing
  #decode: DecodeText | undefined
  #json: string | undefined

  /** What a RowDescription says; undefined when it contradicts itself. @param decode reads its names */
  read(description: Payload, decode: DecodeText): string | undefined {
    const {payload, size} = description
    if (this.#json !== undefined && this.#decode === decode && this.#payload.equals(payload)) return this.#json
    const columns = decodeRowDescription(description, decode)
    this.#decode = decode
    this.#json = columns && describe(columns)
    this.#payload = size <= rememberedBytes ? Buffer.from(payload) : nothing
    return this.#json
  }
}

/** As many as fit. */
function describe(columns: readonly Column[]): string {
  let json = ''
  for (const {name, type} of columns) {
    const column = `${json === '' ? '' : ','}{"name":${JSON.stringify(name)},"type":"${typeName(type)}"}`
    if (json.length + Buffer.byteLength(column) > maximumBytes) break
    json += column
  }
  return `[${json}]`
}
