/** Floating-point numbers and numerics (PostgreSQL's float.c, numeric.c). */

/** The fewest digits that mean this value. */
export function float8Text(value: number): string {
  return floatText(value, value.toExponential(), 15)
}

/** @param value one that a float4 can hold */
export function float4Text(value: number): string {
  let shortest = ''
  for (let digits = 0; digits < 9; digits += 1) {
    shortest = value.toExponential(digits)
    if (Math.fround(Number(shortest)) === value) break
  }
  return floatText(value, shortest, 6)
}

/** @param firstExponent from which on it is written with an exponent */
function floatText(value: number, scientific: string, firstExponent: number): string {
  if (!Number.isFinite(value)) return String(value)
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  const [, sign = '', first = '', more = '', exponentText = ''] = /^(-?)(\d)\.?(\d*)e(.*)$/.exec(scientific) ?? []
  const exponent = Number(exponentText)
  const digits = first + more
  if (exponent < -4 || exponent >= firstExponent) {
    const shown = String(Math.abs(exponent)).padStart(2, '0')
    return `${sign}${first}${more === '' ? '' : `.${more}`}e${exponent < 0 ? '-' : '+'}${shown}`
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0')
  const fraction = digits.slice(exponent + 1)
  return `${sign}${whole}${fraction === '' ? '' : `.${fraction}`}`
}

const negative = 0x4000
const notNumbers: ReadonlyMap<number, string> = new Map([
  [0xc000, 'NaN'],
  [0xd000, 'Infinity'],
  [0xf000, '-Infinity'],
])
const maximumScale = 0x3fff
/** Groups of four decimal digits that are shown and were not sent: eight bytes may say 1e131071. */
const maximumZeroGroups = 256

/** Digits of base 10,000: their number, the first one's weight, the sign, the decimal digits to show, the digits. */
export function numericText(value: Buffer): string | undefined {
  if (value.length < 8) return undefined
  const count = value.readUInt16BE(0)
  const weight = value.readInt16BE(2)
  const sign = value.readUInt16BE(4)
  const scale = value.readUInt16BE(6)
  if (value.length !== 8 + 2 * count || scale > maximumScale) return undefined
  if (notNumbers.has(sign)) return notNumbers.get(sign)
  if (sign !== 0 && sign !== negative) return undefined
  const places = Math.max(0, weight + 1) + Math.ceil(scale / 4)
  if (places > count + maximumZeroGroups) return undefined
  const sent = Array.from({length: count}, (_, index) => value.readUInt16BE(8 + 2 * index))
  if (sent.some((digit) => digit > 9999)) return undefined
  const digits = (from: number, to: number): string => {
    let text = ''
    for (let place = from; place < to; place += 1) text += String(sent[place] ?? 0).padStart(4, '0')
    return text
  }
  const whole = digits(0, weight + 1).replace(/^0+(?=\d)/, '') || '0'
  const fraction = digits(weight + 1, weight + 1 + Math.ceil(scale / 4)).slice(0, scale)
  const shown = `${whole}${fraction === '' ? '' : `.${fraction}`}`
  return sign === negative && /[1-9]/.test(shown) ? `-${shown}` : shown
}
