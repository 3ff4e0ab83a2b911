#!/usr/bin/env python3
"""Holds the committed files against the rules of CONTRIBUTING.md that need no compiler.

Lengths of files, ASCII sources, no unfinished business, and the size of everything but models/.
Prints one line for each breach and exits 1 if there was one. Needs git.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {".cc", ".h", ".cu", ".cuh"}
MEGABYTE = 1_000_000
MAX_BYTES = 6 * MEGABYTE
MAX_LINES = 600
# Kernels are long for a reason: tiles written out.
MAX_KERNEL_LINES = 800
KERNELS = ("src/backend/cpu/kernels/", "src/backend/cuda/kernels/")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def check_source(path, text):
    lines = text.splitlines()
    limit = MAX_KERNEL_LINES if path.startswith(KERNELS) else MAX_LINES
    if len(lines) > limit:
        yield f"{path}:{limit}: has {len(lines)} lines, at most {limit} are allowed"
    is_test = path.endswith("_test.cc")
    if not is_test and not (lines and lines[0].startswith("//")):
        yield f"{path}:1: does not begin with a comment that says what enters and what leaves"
    for number, line in enumerate(lines, 1):
        # Tests hold prompts in every language.
        if not line.isascii() and not is_test:
            yield f"{path}:{number}: has a character that is not ASCII"
        if UNFINISHED.search(line):
            yield f"{path}:{number}: leaves work for later; file an issue instead"


def main():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file()]
    breaches = []
    for path in paths:
        if Path(path).suffix in SOURCES:
            breaches += check_source(path, (ROOT / path).read_text(encoding="utf-8"))
    total = sum((ROOT / path).stat().st_size for path in paths if not path.startswith("models/"))
    if total > MAX_BYTES:
        breaches.append(f"outside models/ are {total / MEGABYTE:.1f} MB, at most {MAX_BYTES / MEGABYTE:.0f} are allowed")
    for breach in breaches:
        print(breach)
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
