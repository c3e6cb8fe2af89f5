#!/usr/bin/env bash
# The README's C example compiles without warnings through pkg-config, prints what the README says, and every public
# function has an installed man page.
# usage: test_readme.sh BUILD_DIRECTORY
set -euo pipefail
readme=$(dirname "$0")/../../README.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$1" --prefix "$work" >/dev/null
library=$(find "$work" -name libunisono.so)
export PKG_CONFIG_PATH=${library%/*}/pkgconfig LD_LIBRARY_PATH=${library%/*}

awk '/^```c$/ { on = 1; next } /^```$/ { if (on) exit } on' "$readme" >"$work/example.c"
# shellcheck disable=SC2046 # flags
"$CC" -std=c11 -Wall -Wextra -Wconversion -Werror -o "$work/example" "$work/example.c" \
  $(pkg-config --cflags --libs unisono)

sed -n 's/^    \(\[[0-9]\] .*\)/\1/p' "$readme" >"$work/promised"
"$work/bin/unisono" run -n 3 "$work/example" | sort >"$work/printed"
diff "$work/promised" "$work/printed"

for function in $(sed -n 's/^UNISONO_API [^;(]*\(unisono_[a-z_]*\)(.*/\1/p' "$work/include/unisono.h"); do
  if [ ! -e "$work/share/man/man3/$function.3" ]; then
    echo "$function.3 is not installed"
    exit 1
  fi
done
