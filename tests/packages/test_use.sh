#!/bin/sh
# test_use.sh DIRECTORY: the Debian packages in DIRECTORY are installed by dpkg, into a root of their own; programs
# are built with them, through CMake and through pkg-config, and run, as the command does; dpkg removes them, and
# nothing is left.
#
# Environment: MULTIARCH (triplet), CC, and for another processor TOOLCHAIN (file) and EMULATOR (command).
set -eu
packages=$1

for tool in dpkg pkg-config cmake readelf; do
  command -v $tool >/dev/null || {
    echo "skipped: there is no $tool"
    exit 77
  }
done

here=$(cd "$(dirname "$0")" && pwd)
root=$(mktemp -d)
work=$(mktemp -d)
trap 'rm -rf "$root" "$work"' EXIT
lib=$root/usr/lib/$MULTIARCH

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

quietly() {
  "$@" >"$work/log" 2>&1 || {
    cat "$work/log"
    fail "$*"
  }
}

# What the packages depend on is not in this root.
dpkg_there() {
  quietly dpkg --root="$root" --log="$work/dpkg.log" --force-not-root --force-depends --force-architecture \
    --force-bad-path "$@"
}

installed() {
  find "$root" ! -type d ! -path "$root/var/lib/dpkg/*"
}

run() {
  # shellcheck disable=SC2086 # a command with options
  LD_LIBRARY_PATH=$lib quietly ${EMULATOR:-} "$@"
}

# Each library that a file needs is in a package that the file's package names.
check_depends() { # PACKAGE FILE
  depends=$(dpkg-deb -f "$packages/$1"_*.deb Depends)
  for needed in $(readelf -d "$root/$2" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
    case $needed in libunisono.so.*) owner=libunisono0 ;; ld-linux*) owner=libc6 ;;
    *) owner=$(dpkg -S "*/$needed" | grep "/$MULTIARCH/$needed$" | sed 's/:.*//') ;; esac
    case "$depends, " in
    *"$owner "* | *"$owner,"*) ;;
    *) fail "$1 does not depend on $owner, which has $needed: $depends" ;;
    esac
  done
}

mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/var/lib/dpkg/triggers"
touch "$root/var/lib/dpkg/status"
dpkg_there -i "$packages"/libunisono0_*.deb "$packages"/libunisono-dev_*.deb "$packages"/unisono-tools_*.deb
[ -n "${EMULATOR:-}" ] || {
  check_depends libunisono0 "usr/lib/$MULTIARCH/libunisono.so.0"
  check_depends unisono-tools usr/bin/unisono
}

mkdir "$work/project"
cp "$here/CMakeLists.consumer.txt" "$work/project/CMakeLists.txt"
cp "$here/../install/consumer.c" "$work/project"
PKG_CONFIG_LIBDIR=$lib/pkgconfig quietly cmake -S "$work/project" -B "$work/build" \
  -DCMAKE_PREFIX_PATH="$root/usr" ${TOOLCHAIN:+-DCMAKE_TOOLCHAIN_FILE="$TOOLCHAIN"}
quietly cmake --build "$work/build"
for program in by_cmake by_pkg_config; do
  readelf -d "$work/build/$program" | grep -q 'NEEDED.*\[libunisono\.so\.0\]' || fail "$program is not linked to it"
  run "$work/build/$program"
done
run "$root/usr/bin/unisono" info
grep -q '^unisono [0-9]' "$work/log" || fail "unisono info prints no version"
[ -n "${EMULATOR:-}" ] || run "$root/usr/bin/unisono" bench all_reduce -n 2 --max 64 --seconds 0.01
[ -f "$root/usr/share/man/man1/unisono.1.gz" ] || fail "no man page of the command"
[ "$(find "$root/usr/share/man/man3" -name '*.3.gz' -exec gzip -tf {} + 2>&1 | wc -l)" = 0 ] || fail "man pages"

dpkg_there --purge unisono-tools libunisono-dev libunisono0
left=$(installed)
[ -z "$left" ] || fail "left behind: $left"
echo "installed, built against, run, removed"
