/** Points and what is made of them (PostgreSQL's geo_ops.c); numbers are float8. */
import {float8Text} from './binary-numbers.js'

const pointBytes = 16

/** `(1,2)` of each point. */
export function pointsText(value: Buffer): string {
  const points: string[] = []
  for (let offset = 0; offset < value.length; offset += pointBytes) {
    points.push(`(${numbers(value.subarray(offset, offset + pointBytes)).join(',')})`)
  }
  return points.join(',')
}

export function lineText(value: Buffer): string {
  return `{${numbers(value).join(',')}}`
}

/** The centre, then the radius. */
export function circleText(value: Buffer): string {
  return `<${pointsText(value.subarray(0, pointBytes))},${numbers(value.subarray(pointBytes)).join('')}>`
}

/** Whether it is closed, then a polygon. */
export function pathText(value: Buffer): string | undefined {
  const points = countedPoints(value.subarray(1))
  if (points === undefined) return undefined
  return value[0] === 0 ? `[${points}]` : `(${points})`
}

/** The number of points, then the points. */
export function polygonText(value: Buffer): string | undefined {
  const points = countedPoints(value)
  return points === undefined ? undefined : `(${points})`
}

function countedPoints(value: Buffer): string | undefined {
  if (value.length <= 4 || value.readUInt32BE() * pointBytes !== value.length - 4) return undefined
  return pointsText(value.subarray(4))
}

function numbers(value: Buffer): string[] {
  return Array.from({length: value.length / 8}, (_, index) => float8Text(value.readDoubleBE(8 * index)))
}
