/** How large the tests are that come in sizes: POSTERN_TEST_SCALE from 0 (the default: small) to 1 (the full size). */
const scale = Math.min(Math.max(Number(process.env.POSTERN_TEST_SCALE ?? 0), 0), 1)

/** A size between the small and the full one. */
export function scaled(small: number, full: number): number {
  return Math.round(small + (full - small) * scale)
}

/** A figure for whoever runs the tests in another size than the small one. */
export function report(figures: string): void {
  if (scale > 0) process.stderr.write(`${figures}\n`)
}
