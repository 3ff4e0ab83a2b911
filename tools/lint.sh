#!/bin/sh
# Checks the format of every C++ source and lints the library's and the program's sources, in an
# environment of its own with pinned versions from PyPI, so that every machine agrees.
# Usage: tools/lint.sh [--format-only | --fix-format] [--build FOLDER]
#   --format-only    leave out clang-tidy
#   --fix-format     rewrite the sources instead of checking them; leaves out clang-tidy
#   --build FOLDER   where compile_commands.json lies (default build/release, configured when absent)
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$root"
tools=$root/build/lint
build=$root/build/release
tidy=yes
format='--dry-run -Werror'
status=0
while [ $# -gt 0 ]; do
  case "$1" in
    --format-only) tidy= ;;
    --fix-format) tidy= format=-i ;;
    --build) build=$2; shift ;;
    *) echo "usage: tools/lint.sh [--format-only | --fix-format] [--build FOLDER]" >&2; exit 2 ;;
  esac
  shift
done

pins='clang-format==19.1.7 clang-tidy==23.1.4'
if [ "$(cat "$tools/pins" 2>/dev/null)" != "$pins" ]; then
  tools/install_packages.sh program lint
  rm -rf "$tools"
  python3 -m venv "$tools"
  # shellcheck disable=SC2086
  "$tools/bin/pip" --quiet install $pins
  echo "$pins" >"$tools/pins"
fi

# shellcheck disable=SC2086
git ls-files --cached --others --exclude-standard '*.cc' '*.h' '*.cu' '*.cuh' |
  xargs "$tools/bin/clang-format" $format || status=1
[ -n "$tidy" ] || exit "$status"

if [ ! -f "$build/compile_commands.json" ]; then tools/build.sh zimage; fi
# The slowest first, so that no core waits at the end. Tests are not linted: GoogleTest's macros are
# most of what clang-tidy would see in them. CUDA sources need nvcc's headers; what stands in for an
# absent library is compiled nowhere else.
git ls-files --cached --others --exclude-standard 'src/*.cc' 'examples/*.cc' |
  grep -v -e '_test\.cc$' -e '_absent\.cc$' -e '^src/backend/cuda/' |
  xargs ls -S |
  xargs -P "$(nproc)" -n 1 sh -c '
    if ! found=$("$0/bin/clang-tidy" --quiet -p "$1" "$2" 2>&1); then
      printf "%s\n" "$found" | grep -v "warnings generated\|^Suppressed\|^Use -header-filter"
      exit 1
    fi' "$tools" "$build" || status=1
exit "$status"
