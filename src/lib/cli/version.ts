import type {FindResponse} from '../api/responses.js'
import {PosternError} from '../core/errors.js'

/**
 * Whether this program may speak to a cluster, which says what it takes: its own major version and the one before.
 * @throws PosternError FAILED when this program is too old
 */
export function checkVersion(own: string, {server_version, min_client_version}: FindResponse): void {
  if (isAtLeast(numbers(own), numbers(min_client_version))) return
  throw new PosternError(
    'FAILED',
    `The cluster runs version ${server_version} and takes clients from ${min_client_version}; this is ${own}.`,
    {hint: 'Install a newer postern, or try with --skip-version-check.'},
  )
}

/** `v18.7.3-dev` as [18, 7, 3]; of anything else nothing, which any version satisfies. */
function numbers(version: string): number[] {
  return (/^v?(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []).slice(1).map(Number)
}

function isAtLeast(version: readonly number[], minimum: readonly number[]): boolean {
  const differing = minimum.findIndex((number, index) => number !== version[index])
  return differing < 0 || (version[differing] ?? 0) > (minimum[differing] ?? 0)
}
