/** Numbers that look random and are the same in every run (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** The same bytes in one chunk, in two for every position, and one by one. */
export function everySplit(bytes: Buffer): Buffer[][] {
  const halves = Array.from({length: bytes.length - 1}, (_, index) => [
    bytes.subarray(0, index + 1),
    bytes.subarray(index + 1),
  ])
  return [[bytes], ...halves, Array.from(bytes, (byte) => Buffer.from([byte]))]
}

/** The same bytes in chunks of random sizes, some of them empty. */
export function randomChunks(bytes: Buffer, random: () => number, longest: number): Buffer[] {
  const chunks: Buffer[] = []
  for (let offset = 0; offset < bytes.length;) {
    const length = Math.floor(random() * (longest + 1))
    chunks.push(bytes.subarray(offset, offset + length))
    offset += length
  }
  return chunks
}
