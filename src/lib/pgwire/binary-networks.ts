/** Addresses of networks and of hardware (PostgreSQL's network.c, mac.c, inet_net_ntop.c). */

/** PGSQL_AF_INET and PGSQL_AF_INET6, with the bytes of an address. */
const addressBytes: ReadonlyMap<number | undefined, number> = new Map([
  [2, 4],
  [3, 16],
])
const headerBytes = 4

/** The family, the bits of the network, whether it is a cidr, the bytes of the address, the address. */
export function networkText(value: Buffer): string | undefined {
  const [family, bits = 0, isCidr, size] = value
  const address = value.subarray(headerBytes)
  if (size === undefined || addressBytes.get(family) !== size || address.length !== size) return undefined
  if (bits > 8 * size) return undefined
  const text = size === 4 ? address.join('.') : version6Text(address)
  return bits === 8 * size && isCidr === 0 ? text : `${text}/${bits}`
}

/** The longest run of zeros is left out, and an address of version 4 within it is written as one. */
function version6Text(address: Buffer): string {
  const words = Array.from({length: 8}, (_, index) => address.readUInt16BE(2 * index))
  const run = longestZeros(words)
  const version4 = address.subarray(12).join('.')
  const hexadecimal = (from: number, to: number): string =>
    words
      .slice(from, to)
      .map((word) => word.toString(16))
      .join(':')
  if (run.start === 0 && run.length === 6) return `::${version4}`
  if (run.start === 0 && run.length === 5 && words[5] === 0xffff) return `::ffff:${version4}`
  if (run.length < 2) return hexadecimal(0, 8)
  return `${hexadecimal(0, run.start)}::${hexadecimal(run.start + run.length, 8)}`
}

/** The first of the longest runs of zeros. */
function longestZeros(words: readonly number[]): {readonly start: number; readonly length: number} {
  let longest = {start: -1, length: 0}
  for (let start = 0; start < words.length; start += 1) {
    let length = 0
    while (words[start + length] === 0) length += 1
    if (length > longest.length) longest = {start, length}
  }
  return longest
}

/** `08:00:2b:01:02:03` */
export function hardwareAddressText(value: Buffer): string {
  return Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join(':')
}
