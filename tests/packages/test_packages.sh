#!/bin/sh
# test_packages.sh DIRECTORY ARCHITECTURE MULTIARCH CC [EMULATOR...]
#
# The Debian packages in DIRECTORY: lintian has nothing against them; dpkg installs them into a root of its own;
# programs are built with what they bring, through pkg-config and through CMake, and run, as the command does; dpkg
# removes them, and nothing is left. An emulator runs the programs where they are for another processor.
set -eu
packages=$1 architecture=$2 multiarch=$3 cc=$4
shift 4
here=$(cd "$(dirname "$0")" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
lib=$root/usr/lib/$multiarch

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

for tool in lintian dpkg pkg-config cmake; do
  command -v $tool >/dev/null || {
    echo "skipped: there is no $tool"
    exit 77
  }
done

# Into the new root only: its scripts, its configuration and its list of packages are its own. What the packages
# depend on is this machine's, so that is left out of sight.
dpkg_there() {
  dpkg --root="$root" --log=/dev/null --force-not-root --force-depends --force-architecture --force-bad-path "$@" \
    >"$root/dpkg.log" 2>&1 || {
    cat "$root/dpkg.log"
    fail "dpkg $*"
  }
}

run() { # PROGRAM ARGUMENTS...: with the installed library
  program=$1
  shift
  LD_LIBRARY_PATH=$lib "$program" "$@"
}
