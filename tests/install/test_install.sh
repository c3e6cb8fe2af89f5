#!/bin/sh
# test_install.sh BUILD-DIRECTORY MAJOR-VERSION
#
# Installs into a temporary prefix and uses the copy as a stranger would: header alone as C and as C++, programs
# through pkg-config and through CMake's find_package; looks at the exported symbols and the soname.
set -eu
build=$1
major=$2
here=$(cd "$(dirname "$0")" && pwd)
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
cc=${CC:-cc}
cxx=${CXX:-c++}

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

for tool in "$cc" "$cxx" pkg-config cmake nm readelf; do
  command -v "$tool" >/dev/null || {
    echo "skipped: there is no $tool"
    exit 77
  }
done

cmake --install "$build" --prefix "$prefix/first" >"$prefix/install.log"
mv "$prefix/first" "$prefix/moved" # an installed tree can be moved
root=$prefix/moved
library=$(find "$root" -name libunisono.so)
[ -n "$library" ] || fail "no libunisono.so is installed"
lib=$(dirname "$library")

# The header by itself.
strict="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -fsyntax-only -I$root/include"
echo '#include <unisono.h>' >"$prefix/header.c"
for standard in c99 c11 c17; do
  $cc -std=$standard $strict "$prefix/header.c" || fail "the header is no $standard"
done
for standard in c++11 c++17; do
  $cxx -x c++ -std=$standard $strict "$prefix/header.c" || fail "the header is no $standard"
done

# pkg-config.
export PKG_CONFIG_PATH="$lib/pkgconfig"
flags=$(pkg-config --cflags --libs unisono)
$cc -std=c11 "$here/consumer.c" -o "$prefix/consumer_c" $flags "-Wl,-rpath,$lib"
$cxx -x c++ -std=c++11 "$here/consumer.c" -x none -o "$prefix/consumer_cpp" $flags "-Wl,-rpath,$lib"
"$prefix/consumer_c" || fail "the C program made through pkg-config ends with $?"
"$prefix/consumer_cpp" || fail "the C++ program made through pkg-config ends with $?"
header_version=$(pkg-config --modversion unisono)
case $header_version in
$major.*) ;;
*) fail "pkg-config says version $header_version" ;;
esac

# CMake.
mkdir "$prefix/project"
cp "$here/CMakeLists.consumer.txt" "$prefix/project/CMakeLists.txt"
cp "$here/consumer.c" "$prefix/project/consumer.c"
cp "$here/consumer.c" "$prefix/project/consumer.cpp"
cmake -S "$prefix/project" -B "$prefix/project/build" -DCMAKE_PREFIX_PATH="$root" \
  -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" >"$prefix/cmake.log" || {
  cat "$prefix/cmake.log"
  fail "find_package(unisono)"
}
cmake --build "$prefix/project/build" >"$prefix/cmake.log" || {
  cat "$prefix/cmake.log"
  fail "building through find_package"
}
for program in consumer_c consumer_cpp; do
  "$prefix/project/build/$program" || fail "$program made through CMake ends with $?"
done

# Symbols: the header's functions, all of them and nothing else.
exported=$(nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u)
declared=$(grep -v '^ *\*' "$root/include/unisono.h" | tr '\n' ' ' | grep -oE 'UNISONO_API [^;(]*\(' |
  grep -oE 'unisono_[a-z0-9_]+\($' | tr -d '(' | sort -u)
[ "$exported" = "$declared" ] || {
  echo "$exported" >"$prefix/exported"
  echo "$declared" >"$prefix/declared"
  diff "$prefix/exported" "$prefix/declared" || fail "exported (<) and declared (>) functions differ"
}

readelf -d "$library" | grep -q "SONAME.*\[libunisono\.so\.$major\]" || fail "soname: $(readelf -d "$library" | grep SONAME)"
[ -L "$library" ] || fail "$library should be a link to the versioned file"
echo "the installed copy works"
