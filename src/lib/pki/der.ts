/**
 * Just enough DER (ITU-T X.690) to find one extension in an X.509 certificate (RFC 5280 §4.1).
 * Node's X509Certificate does not show extensions it does not know.
 */
interface Element {
  readonly tag: number
  /** The contents, without tag and length. */
  readonly body: Buffer
  /** Offset of the byte after this element in its container. */
  readonly end: number
}

const tags = {octetString: 0x04, oid: 0x06, sequence: 0x30, extensions: 0xa3} as const

function readElement(container: Buffer, offset: number): Element | undefined {
  const tag = container[offset]
  const first = container[offset + 1]
  if (tag === undefined || first === undefined) return undefined
  let length = first
  let start = offset + 2
  if (first >= 0x80) {
    const count = first - 0x80
    // DER never uses the indefinite form, and no certificate of ours needs more than 32 bits.
    if (count === 0 || count > 4 || start + count > container.length) return undefined
    length = container.readUIntBE(start, count)
    // The shortest form is the only one (X.690 §10.1): two readers must not see two structures.
    if (length < 0x80 || container[start] === 0) return undefined
    start += count
  }
  const end = start + length
  return end > container.length ? undefined : {tag, body: container.subarray(start, end), end}
}

/** The elements that fill the container; none when its bytes are anything else. */
function children(container: Buffer): Element[] {
  const found: Element[] = []
  for (let offset = 0; offset < container.length;) {
    const element = readElement(container, offset)
    if (!element) return []
    found.push(element)
    offset = element.end
  }
  return found
}

/** DER of an object identifier such as `2.25.1`. */
export function encodeOid(oid: string): Buffer {
  const arcs = oid.split('.').map(BigInt)
  const [first = 0n, second = 0n, ...rest] = arcs
  const body = [first * 40n + second, ...rest].flatMap((arc) => {
    const bytes = [Number(arc & 0x7fn)]
    for (let left = arc >> 7n; left > 0n; left >>= 7n) bytes.unshift(Number(left & 0x7fn) | 0x80)
    return bytes
  })
  return Buffer.from([tags.oid, body.length, ...body])
}

/** The value of the certificate's extension with this object identifier; undefined when it has none, or two. */
export function findExtension(certificate: Buffer, oid: string): Buffer | undefined {
  const [toBeSigned] = children(soleSequence(certificate))
  const wrapper = children(toBeSigned?.body ?? nothing).find((element) => element.tag === tags.extensions)
  const wanted = encodeOid(oid)
  const matching = children(soleSequence(wrapper?.body ?? nothing)).filter((extension) =>
    extension.body.subarray(0, wanted.length).equals(wanted),
  )
  if (matching.length !== 1) return undefined
  const value = children(matching[0]?.body ?? nothing).at(-1)
  return value?.tag === tags.octetString ? value.body : undefined
}

const nothing = Buffer.alloc(0)

/** The contents of a container that holds one sequence and nothing else. */
function soleSequence(container: Buffer): Buffer {
  const [sequence, ...more] = children(container)
  return sequence?.tag === tags.sequence && more.length === 0 ? sequence.body : nothing
}
