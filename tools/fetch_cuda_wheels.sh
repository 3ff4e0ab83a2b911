#!/bin/sh
# Fetches what a CUDA build needs beyond nvcc, as wheels from PyPI, and unpacks it into build/cuda-wheels:
# cuBLASLt with its headers. Usage: tools/fetch_cuda_wheels.sh [FOLDER]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
target=${1:-$root/build/cuda-wheels}
mkdir -p "$target"
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$wheels" nvidia-cublas==13.1.0.3
for wheel in "$wheels"/*.whl; do
  python3 -m zipfile -e "$wheel" "$target"
done
echo "unpacked into $target; configure with -DZIMAGE_CUDA=ON -DZIMAGE_CUDA_WHEELS=$target"
