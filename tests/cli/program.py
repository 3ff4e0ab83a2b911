"""Runs the built program for the tests beside this file, and reads its pictures.

Each test file is called with the program's path: `python3 usage_test.py build/release/zimage`.
"""

import os
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

MODEL = Path(__file__).resolve().parents[2] / "models" / "zimage-tiny"
# Small and quick: 16 image tokens, two forwards.
QUICK = ["--size", "64x64", "--steps", "2"]
TIMEOUT = 120

program = ""


def main():
    """Takes the program's path from the command line and runs the tests of the calling file."""
    global program
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} PROGRAM [unittest options]")
    # The test files import this module by name: the path must be set there, not in __main__.
    import program as module

    module.program = os.path.abspath(sys.argv.pop(1))
    unittest.main(module="__main__")


def environment(**changes):
    """The test's environment without what changes the program's behaviour; None removes a name."""
    # The last are what terminals tell programs of themselves.
    without = {"ZIMAGE_MODEL", "NO_COLOR", "TMUX", "TERM_PROGRAM", "LC_TERMINAL", "KITTY_WINDOW_ID", "WEZTERM_PANE"}
    result = {k: v for k, v in os.environ.items() if k not in without}
    result["TERM"] = "xterm"
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result


class ProgramTest(unittest.TestCase):
    """Gives every test an empty folder, `self.folder`, in which the program runs."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="zimage-test-")
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)

    def command(self, *arguments):
        return [program, *arguments]

    def run_program(self, *arguments, env=None, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        if "input" in options:
            del options["stdin"]
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("cwd", self.folder)
        return subprocess.run(
            self.command(*arguments),
            stderr=subprocess.PIPE,
            timeout=TIMEOUT,
            env=env or environment(),
            **options,
        )

    def generate(self, *arguments, prompt="a red apple", size=QUICK, **options):
        """Draws one small picture; the result must be success."""
        result = self.run_program("generate", "-p", prompt, *size, *arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr.decode(errors="replace"))
        return result

    def assert_fails(self, result, code, *fragments):
        """The exit code, one message on standard error that names the program, and nothing else."""
        message = result.stderr.decode()
        self.assertEqual(result.returncode, code, message)
        self.assertEqual(result.stdout or b"", b"")
        lines = [line for line in message.splitlines() if line.startswith("zimage: ")]
        self.assertEqual(len(lines), 1, message)
        for fragment in fragments:
            self.assertIn(fragment, lines[0])

    def assert_empty(self, folder=None):
        self.assertEqual(sorted(os.listdir(folder or self.folder)), [])


def chunks(png):
    """The chunks of a PNG's bytes, as (type, data); checksums are verified."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        kind = png[at + 4 : at + 8]
        data = png[at + 8 : at + 8 + size]
        (checksum,) = struct.unpack(">I", png[at + 8 + size : at + 12 + size])
        assert zlib.crc32(kind + data) == checksum
        yield kind, data
        at += 12 + size


def texts(png):
    """The text chunks, keyword -> text."""
    result = {}
    for kind, data in chunks(png):
        if kind == b"tEXt":
            keyword, text = data.split(b"\0", 1)
            result[keyword.decode("latin-1")] = text.decode("latin-1")
        elif kind == b"iTXt":
            keyword, rest = data.split(b"\0", 1)
            assert rest[0] == 0, "compressed"
            _, _, text = rest[2:].split(b"\0", 2)
            result[keyword.decode("latin-1")] = text.decode()
    return result


def pixels(png):
    """(width, height, rows): the samples of an 8-bit RGB picture, filters undone."""
    parts = list(chunks(png))
    width, height, depth, color, _, _, interlace = struct.unpack(">IIBBBBB", parts[0][1])
    assert (depth, color, interlace) == (8, 2, 0)
    data = zlib.decompress(b"".join(d for kind, d in parts if kind == b"IDAT"))
    stride = width * 3
    rows = []
    above = bytearray(stride)
    for y in range(height):
        kind = data[y * (stride + 1)]
        row = bytearray(data[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        for i in range(stride):
            left = row[i - 3] if i >= 3 else 0
            up = above[i]
            if kind == 1:
                row[i] = (row[i] + left) & 255
            elif kind == 2:
                row[i] = (row[i] + up) & 255
            else:
                assert kind == 0, f"filter {kind} is not one that the program writes"
        rows.append(bytes(row))
        above = row
    return width, height, rows


if __name__ == "__main__":
    main()
