#!/bin/sh
# Brings a target of the release preset up to date: configures build/release when it has to, then runs
# ninja. Silent when nothing changed, one line while building, the whole log when something fails.
# Usage: tools/build.sh TARGET [-DNAME=VALUE...]; without definitions the tests are left out of a
# build folder that it makes, and an existing one stays as it is configured.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
build=$root/build/release
log=$build/build.log
target=$1
shift

# True when the last configuration succeeded, in this place, with these definitions.
is_configured() {
  [ -f "$build/.configured" ] && [ -f "$build/build.ninja" ] || return 1
  grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$build/CMakeCache.txt" || return 1
  for definition in "$@"; do
    name=${definition%%=*}
    grep "^${name#-D}:" "$build/CMakeCache.txt" | grep -qF "=${definition#*=}" || return 1
  done
}

configure() {
  echo "configuring zimage" >&2
  [ $# -gt 0 ] || set -- -DZIMAGE_TESTS=OFF
  rm -f "$build/.configured"
  # A cache made elsewhere (a copied or moved tree) is of no use here.
  grep -qsxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$build/CMakeCache.txt" || set -- --fresh "$@"
  (cd "$root" && cmake --preset release "$@") >"$log" 2>&1 9>&- || fail "cmake"
  touch "$build/.configured"
}

fail() {
  cat "$log" >&2
  echo "tools/build.sh: $1 failed; the log above is in $log" >&2
  exit 1
}

# Reads ninja's lines into the log; real work is announced once, or counted on a terminal.
show_steps() {
  announced=
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    case "$line" in
      '[0/'*) continue ;;
      '['[0-9]*/[0-9]*']'*) ;;
      *) continue ;;
    esac
    if [ -t 2 ]; then
      printf '\rbuilding zimage %s] ' "${line%%]*}" >&2
    elif [ -z "$announced" ]; then
      echo "building zimage" >&2
    fi
    announced=yes
  done
  if [ -n "$announced" ] && [ -t 2 ]; then printf '\r\033[K' >&2; fi
}

mkdir -p "$build"
# Two builds in one folder would spoil each other.
exec 9>"$build/.lock"
flock 9

is_configured "$@" || configure "$@"
: >"$log"
status=$build/.status
{ ninja -C "$build" "$target" 2>&1 9>&- && echo 0 >"$status" || echo 1 >"$status"; } | show_steps
[ "$(cat "$status")" = 0 ] || fail "the build"
