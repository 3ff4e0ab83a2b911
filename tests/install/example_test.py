#!/usr/bin/env python3
"""Runs the example program: a picture of the model's size comes out, and bad calls fail clearly.

Usage: example_test.py PROGRAM MODEL_FOLDER
"""

import struct
import subprocess
import sys
import tempfile
from pathlib import Path


def run(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


def png_size(path):
    """Width and height from the header of a PNG, whose end must be there too."""
    data = Path(path).read_bytes()
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or data[-8:-4] != b"IEND":
        raise SystemExit(f"{path}: not a whole PNG")
    return struct.unpack(">II", data[16:24])


def expect(condition, message, result):
    if not condition:
        raise SystemExit(f"{message}\nexit code {result.returncode}\n{result.stdout}{result.stderr}")


def check_example(program, model):
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "apple.png")
        result = run(program, model, "a red apple", picture)
        expect(result.returncode == 0, "the example failed", result)
        expect(png_size(picture) == (256, 256), f"the picture is {png_size(picture)}, expected 256x256", result)
        expect("denoise 8/8" in result.stderr, "the example did not report its last step", result)

        result = run(program, Path(folder, "nowhere"), "a red apple", picture)
        expect(result.returncode == 1 and "nowhere" in result.stderr, "a missing model was not named", result)


if __name__ == "__main__":
    check_example(*sys.argv[1:])
