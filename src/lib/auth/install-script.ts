import {isIP} from 'node:net'
import {PosternError} from '../core/errors.js'
import {formatAddress, type Address} from '../resources/endpoint.js'

export interface InstallScriptOptions {
  readonly version: string
  /** Where the archive is served. */
  readonly address: Address
  /** Of the archive, hex. */
  readonly sha256: string
}

const versionForm = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/
const hostForm = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/
const sha256Form = /^[0-9a-f]{64}$/

/** Where the archive of a version is served. */
export const archivePath = (version: string): string => `/scripts/postern-${version}.tgz`

/**
 * The script that people pipe into a root shell. What is filled in has no character that means something to a shell.
 * @throws PosternError INTERNAL when it would have
 */
export function renderInstallScript({version, address, sha256}: InstallScriptOptions): string {
  require(versionForm.test(version), 'version')
  require(sha256Form.test(sha256), 'checksum')
  require(isIP(address.host) !== 0 || hostForm.test(address.host), 'public address')
  return script
    .replaceAll('@VERSION@', version)
    .replaceAll('@ADDRESS@', formatAddress(address))
    .replaceAll('@PATH@', archivePath(version))
    .replaceAll('@SHA256@', sha256)
}

function require(isSafe: boolean, what: string): void {
  if (!isSafe) throw new PosternError('INTERNAL', `The ${what} is not fit for a shell script.`)
}

/** A function, called at the end: of a script that was cut off nothing runs. */
const script = `#!/bin/sh
# Installs Postern @VERSION@, as the cluster behind @ADDRESS@ runs it.
#
#   curl https://@ADDRESS@/scripts/install.sh | sudo bash
#   curl https://@ADDRESS@/scripts/install.sh | bash -s @VERSION@ oss
#
# POSTERN_PREFIX is where to install it (default /usr/local). POSTERN_ALIASES=no makes no launchers tsh, tctl, teleport.
set -eu

fail() {
  printf 'ERROR: %s\\n' "$*" >&2
  exit 1
}

main() {
  version='@VERSION@'
  checksum='@SHA256@'
  url='https://@ADDRESS@@PATH@'
  prefix="\${POSTERN_PREFIX:-/usr/local}"

  wanted="\${1:-$version}"
  [ "\${wanted#v}" = "$version" ] || fail "This cluster serves version $version, not \${wanted#v}."
  case "\${2:-oss}" in
    oss | community | cloud | enterprise) ;;
    *) fail "There is no edition \\"$2\\"." ;;
  esac

  command -v node >/dev/null 2>&1 || fail 'Node.js is missing: install version 20.19 or newer, https://nodejs.org.'
  command -v npm >/dev/null 2>&1 || fail 'npm is missing: install it, it comes with Node.js.'
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    fail "Postern needs Node.js 20.19 or newer; this is $(node --version)."

  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' HUP INT TERM
  archive="$work/postern.tgz"

  # The checksum tells whether these are the right bytes, whoever sent them.
  if command -v curl >/dev/null 2>&1; then
    curl --fail --silent --show-error --insecure --output "$archive" "$url"
  elif command -v wget >/dev/null 2>&1; then
    wget --quiet --no-check-certificate --output-document="$archive" "$url"
  else
    fail 'Neither curl nor wget is installed.'
  fi
  actual="$(node -e 'process.stdout.write(require("node:crypto").createHash("sha256").update(require("node:fs").readFileSync(process.argv[1])).digest("hex"))' "$archive")"
  [ "$actual" = "$checksum" ] || fail "The download has the checksum $actual instead of $checksum; nothing was installed."

  npm install --global --prefix "$prefix" --ignore-scripts --offline --no-audit --no-fund --no-update-notifier \\
    --loglevel=error "$archive" >/dev/null
  if [ "\${POSTERN_ALIASES:-yes}" != no ]; then
    "$prefix/bin/postern" install aliases --dir "$prefix/bin" >/dev/null ||
      printf 'The launchers tsh, tctl and teleport were not made; postern itself works.\\n' >&2
  fi
  printf 'Postern %s has been installed in %s.\\n' "$version" "$prefix/bin"
}

main "$@"
`
