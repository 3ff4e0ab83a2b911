#!/bin/sh
# Draws a picture: ./zimage.sh -p "a red heart on a black background". Installs what is missing with
# apt, builds build/release/zimage when a source changed, and hands its arguments to it: to `zimage
# generate`, or to the subcommand named first (./zimage.sh info MODEL). Notes go to stderr.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
"$root/tools/install_packages.sh" program
"$root/tools/build.sh" zimage

program=$root/build/release/zimage
case "${1-}" in
  '' | -h | --help | --help-all | --version) exec "$program" "$@" ;;
  -*) exec "$program" generate "$@" ;;
  *) exec "$program" "$@" ;;
esac
