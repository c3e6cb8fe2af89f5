#!/bin/sh
# test_lintian.sh DIRECTORY: lintian, Debian's own check, has nothing against the packages in DIRECTORY.
set -eu

command -v lintian >/dev/null || {
  echo "skipped: there is no lintian"
  exit 77
}
set -- "$1"/libunisono0_*.deb "$1"/libunisono-dev_*.deb "$1"/unisono-tools_*.deb
lintian --allow-root --info --display-info --fail-on error,warning,info "$@"
echo "lintian has nothing against $# packages"
