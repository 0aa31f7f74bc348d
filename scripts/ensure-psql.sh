#!/bin/sh
# Makes sure that psql is there: installs it as root on Debian and Ubuntu, says how to elsewhere.
set -eu

if command -v psql >/dev/null 2>&1; then
  exit 0
fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "psql is missing; installing postgresql-client" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  apt-get install -y -qq --no-install-recommends postgresql-client >&2
  exit 0
fi

cat >&2 <<'TEXT'
psql, the PostgreSQL client, is not installed. Install it and run this again:
  Debian or Ubuntu   sudo apt-get install postgresql-client
  Fedora or RHEL     sudo dnf install postgresql
  Alpine             sudo apk add postgresql-client
  macOS              brew install libpq && brew link --force libpq
TEXT
exit 1
