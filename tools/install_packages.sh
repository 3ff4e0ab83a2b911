#!/bin/sh
# Installs what is missing of the named sets of tools/packages.txt, as root or through sudo, and says
# what. Costs a few milliseconds when nothing is missing. Usage: tools/install_packages.sh SET...
set -eu

here=$(dirname "$0")
wanted=" $* "
missing=
packages=

while read -r set package command; do
  case "$set" in '' | '#'*) continue ;; esac
  case "$wanted" in *" $set "*) ;; *) continue ;; esac
  if [ -n "$command" ] && command -v "$command" >/dev/null 2>&1; then continue; fi
  packages="$packages $package"
done <"$here/packages.txt"

if [ -n "$packages" ]; then
  if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "install_packages: not a Debian system; please install:$packages" >&2
    exit 1
  fi
  # shellcheck disable=SC2086
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $packages 2>/dev/null || true)
  for package in $packages; do
    case "
$installed
" in
      *"
installed $package
"*) ;;
      *) missing="$missing $package" ;;
    esac
  done
fi
[ -n "$missing" ] || exit 0

as_root=env
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "install_packages: neither root nor sudo here; as root, run: apt-get install$missing" >&2
    exit 1
  fi
  as_root='sudo env'
fi
echo "installing with apt:$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
if ! { $as_root apt-get update &&
  $as_root DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } \
  >"$log" 2>&1 </dev/null; then
  cat "$log" >&2
  echo "install_packages: apt could not install:$missing" >&2
  exit 1
fi
