#!/usr/bin/env python3
"""Tests check_layers.py on small trees: a right one passes, each breach is named."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECK = Path(__file__).resolve().parent / "check_layers.py"

# A tree that keeps the rule.
GOOD = {
    "base/CMakeLists.txt": "zimage_room(base)\n",
    "base/error.h": "#pragma once\n#include <string>\n",
    "backend/CMakeLists.txt": "zimage_room(backend DEPENDS base)\nadd_subdirectory(cpu)\n",
    "backend/backend.h": '#include "base/error.h"\n',
    "backend/cpu/CMakeLists.txt": "zimage_room(backend_cpu DEPENDS backend)\n",
    "backend/cpu/cpu_backend.h": '#include "backend/backend.h"\n',
    "image/png.cc": "#include <png.h>\n",
    "image/CMakeLists.txt": "# writes files\nzimage_room(image\n  DEPENDS base LIBRARIES PNG::PNG)\n",
    "image/image.h": '#include "base/error.h"\n',
    "pipeline/CMakeLists.txt": "set(devices backend_cpu)\nzimage_room(pipeline DEPENDS image ${devices})\n",
    "pipeline/pipeline.h": '#include "image/image.h"\n',
    "pipeline/make_backend.cc": '#include "backend/cpu/cpu_backend.h"\n',
}


class CheckLayers(unittest.TestCase):
    def check(self, changes):
        """Exit code and output of the check on the right tree with `changes` made."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**GOOD, **changes}.items():
                file = Path(folder, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            run = subprocess.run(
                [sys.executable, CHECK, "--src", folder], capture_output=True, text=True, check=False
            )
        return run.returncode, run.stdout + run.stderr

    def assert_breach(self, changes, *parts):
        code, output = self.check(changes)
        self.assertEqual(code, 1, output)
        for part in parts:
            self.assertIn(part, output)

    def test_a_right_tree_passes(self):
        self.assertEqual(self.check({}), (0, ""))

    def test_an_include_upwards_is_named(self):
        self.assert_breach(
            {"image/png.cc": '\n#include "pipeline/pipeline.h"\n'},
            "image/png.cc:2:",
            'includes "pipeline/pipeline.h"; image may include only: base',
        )

    def test_a_test_keeps_the_rule_too(self):
        self.assert_breach({"image/png_test.cc": '#include "backend/backend.h"\n'}, "image/png_test.cc:1:")

    def test_only_make_backend_names_a_device(self):
        self.assert_breach(
            {"pipeline/run.cc": '#include "backend/cpu/cpu_backend.h"\n'}, "pipeline/run.cc:1:", "backend/cpu"
        )

    def test_a_file_in_an_inner_folder_belongs_to_the_room_above(self):
        self.assert_breach(
            {
                "backend/cuda/CMakeLists.txt": "zimage_room(backend_cuda)\n",
                "backend/cuda/kernels/a.cu": '#include "image/image.h"\n',
            },
            "backend/cuda/kernels/a.cu:1:",
            "backend/cuda may include only",
        )

    def test_an_include_relative_to_the_folder_is_named(self):
        self.assert_breach({"image/png.cc": '#include "image.h"\n'}, "image/png.cc:1:", "paths start at src/")

    def test_a_library_stays_in_its_room(self):
        self.assert_breach({"backend/show.cc": "#include <png.h>\n"}, "backend/show.cc:1:", "only image may")

    def test_an_unknown_folder_is_named(self):
        self.assert_breach({"helpers/a.h": "#pragma once\n"}, "helpers/a.h:1:", "not a room")

    def test_depends_may_not_exceed_the_rule(self):
        self.assert_breach(
            {"image/CMakeLists.txt": "zimage_room(image DEPENDS base backend)\n"},
            "image/CMakeLists.txt:1: DEPENDS backend; image may use only: base",
        )

    def test_depends_must_name_what_is_included(self):
        self.assert_breach(
            {"image/CMakeLists.txt": "\nzimage_room(image)\n"},
            "image/CMakeLists.txt:2: DEPENDS lacks base",
        )

    def test_depends_may_not_name_what_is_not_included(self):
        self.assert_breach(
            {"image/image.h": "#pragma once\n"}, "image/CMakeLists.txt:2: DEPENDS base, which no file includes"
        )

    def test_a_room_without_a_library_is_named(self):
        self.assert_breach({"vae/vae.h": "#pragma once\n"}, "vae/CMakeLists.txt:1: has no zimage_room call")

    def test_depends_through_a_list_count(self):
        self.assert_breach(
            {"pipeline/CMakeLists.txt": "set(more cli)\nzimage_room(pipeline DEPENDS image backend_cpu ${more})\n"},
            "pipeline/CMakeLists.txt:2: DEPENDS cli;",
        )

    def test_an_empty_tree_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run(
                [sys.executable, CHECK, "--src", folder], capture_output=True, text=True, check=False
            )
        self.assertEqual(run.returncode, 1)
        self.assertIn("holds no sources", run.stderr)


if __name__ == "__main__":
    unittest.main()
