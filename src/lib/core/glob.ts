/** Whether the text matches a pattern in which `*` is any run of characters and `?` any one (IAM policy grammar). Takes no exponential time. */
export function matchesGlob(pattern: string, text: string): boolean {
  let [at, position] = [0, 0]
  let star = -1
  let retry = 0
  while (position < text.length) {
    if (at < pattern.length && pattern[at] === '*') {
      star = at
      retry = position
      at += 1
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === text[position])) {
      at += 1
      position += 1
    } else if (star >= 0) {
      at = star + 1
      retry += 1
      position = retry
    } else return false
  }
  while (pattern[at] === '*') at += 1
  return at === pattern.length
}

const arnParts = 6

/** Whether an ARN matches a pattern part by part: a `*` in one part does not reach over a colon into the next (IAM, ArnLike). */
export function matchesArn(pattern: string, arn: string): boolean {
  const patterns = splitArn(pattern)
  const parts = splitArn(arn)
  if (patterns.length !== parts.length) return false
  return patterns.every((part, index) => matchesGlob(part, parts[index] ?? ''))
}

/** The six parts of an ARN, the last with its own colons. */
export function splitArn(arn: string): string[] {
  const parts = arn.split(':')
  return parts.length <= arnParts ? parts : [...parts.slice(0, arnParts - 1), parts.slice(arnParts - 1).join(':')]
}
