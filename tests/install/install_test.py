#!/usr/bin/env python3
"""Installs into a fresh prefix, builds the example against it, and runs both programs from there.

Usage: install_test.py CMAKE BUILD_FOLDER SOURCE_FOLDER COMPILER
"""

import json
import sys
import tempfile
from pathlib import Path

from example_test import check_example, expect, png_size, run


def main(cmake, build, source, compiler):
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder, "prefix")
        result = run(cmake, "--install", build, "--prefix", prefix)
        expect(result.returncode == 0, "cmake --install failed", result)

        model = prefix / "share/zimage/models/zimage-tiny"
        for name in ("model_index.json", "MODEL_CARD.md", "LICENSES/noto-cjk.txt"):
            expect((model / name).is_file(), f"{model / name} was not installed", result)

        example = Path(folder, "example")
        result = run(
            cmake, "-S", Path(source, "examples"), "-B", example, "-G", "Ninja",
            "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_CXX_COMPILER={compiler}",
            f"-DCMAKE_PREFIX_PATH={prefix}",
        )  # fmt: skip
        expect(result.returncode == 0, "the example does not configure against the prefix", result)
        result = run(cmake, "--build", example)
        expect(result.returncode == 0, "the example does not build against the prefix", result)
        check_example(example / "zimage_example", model)

        picture = Path(folder, "heart.png")
        program = prefix / "bin/zimage"
        result = run(program, "generate", "-p", "a red heart", "--seed", "1", "-o", picture, "--json")
        expect(result.returncode == 0, "the installed program failed", result)
        expect(png_size(picture) == (256, 256), "the installed program's picture is not 256x256", result)
        expect(json.loads(result.stdout)["seed"] == 1, "the installed program's JSON lacks the seed", result)


if __name__ == "__main__":
    main(*sys.argv[1:])
