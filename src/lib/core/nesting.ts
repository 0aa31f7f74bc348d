/** Whether a value read from JSON has objects and arrays inside of one another, more than so many: writing it can then fail. */
export function isNestedDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (levels === 0) return true
  return Object.values(value).some((each) => isNestedDeeper(each, levels - 1))
}
