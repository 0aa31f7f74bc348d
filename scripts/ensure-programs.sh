#!/bin/sh
# Makes sure that programs are there: installs what is missing as root on Debian and Ubuntu, says how to elsewhere.
#   sh scripts/ensure-programs.sh psql curl ...
set -eu

has() {
  case $1 in
    psycopg2) /usr/bin/python3 -c 'import psycopg2' ;;
    *) command -v "$1" ;;
  esac >/dev/null 2>&1
}

debian_package() {
  case $1 in
    psql) echo postgresql-client ;;
    pgbench) echo postgresql-contrib ;;
    psycopg2) echo python3-psycopg2 ;;
    script) echo bsdutils ;;
    *) echo "$1" ;;
  esac
}

look() {
  missing='' packages=''
  for name in "$@"; do
    has "$name" && continue
    missing="$missing $name"
    packages="$packages $(debian_package "$name")"
  done
  [ -z "$missing" ]
}

install() {
  # A list that cannot be fetched may not be needed.
  apt-get -qq -o Acquire::Retries=3 update || true
  # Names of packages, split at the spaces.
  # shellcheck disable=SC2086
  apt-get -qq -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 install --no-install-recommends $packages
}

look "$@" && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "missing:$missing; installing$packages" >&2
  export DEBIAN_FRONTEND=noninteractive
  # Programs are wanted, no services: a package's script must not start one.
  export RUNLEVEL=1
  # Mirrors fail now and then, and somebody else may be installing.
  for pause in 5 10 20 0; do
    install >&2 && look "$@" && exit 0
    sleep "$pause"
  done
fi

cat >&2 <<TEXT
Not installed:$missing. Install them and run this again:
  Debian or Ubuntu   sudo apt-get install$packages
psql and pgbench are, elsewhere:
  Fedora or RHEL     sudo dnf install postgresql postgresql-contrib
  Alpine             sudo apk add postgresql-client postgresql-contrib
  macOS              brew install libpq && brew link --force libpq
TEXT
exit 1
