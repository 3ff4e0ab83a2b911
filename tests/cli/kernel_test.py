"""`--cpu-kernel`: what is forced, what is measured and kept, and what the processor does not have."""

import json
import platform
import re
from pathlib import Path

from program import ProgramTest, environment, main, texts

# What each kernel needs of the processor, as the system names it.
NEEDS = {
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "avx2": {"avx2", "fma"},
    "portable": set(),
}
TITLES = {"avx512": "AVX-512", "avx2": "AVX2", "portable": "portable"}


def available():
    """The kernels of this processor, the fastest first."""
    flags = set()
    if platform.machine() == "x86_64":
        flags = set(re.search(r"(?m)^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text()).group(1).split())
    return [name for name, needs in NEEDS.items() if needs <= flags]


class Kernels(ProgramTest):
    def setUp(self):
        super().setUp()
        self.cache = self.folder / "cache" / "zimage"

    def draw(self, *arguments):
        """The picture's metadata, and its bytes behind them."""
        env = environment(XDG_CACHE_HOME=str(self.folder / "cache"))
        self.generate("--device", "cpu", "-t", "1", "--seed", "1", "-o", "a.png", "--force", *arguments, env=env)
        png = (self.folder / "a.png").read_bytes()
        return json.loads(texts(png)["zimage"]), png[png.index(b"IDAT") :]

    def kept(self):
        return list(self.cache.iterdir()) if self.cache.exists() else []

    def test_every_kernel_can_be_forced(self):
        for name in available():
            with self.subTest(name):
                said, _ = self.draw("--cpu-kernel", name)
                self.assertEqual(said["cpu_kernel"], name)
                self.assertRegex(said["device"], rf"^cpu: {TITLES[name]}( with VNNI[A-Z0-9 ,and]*)?, 1 thread$")
        self.assertEqual(self.kept(), [])

    def test_the_best_are_measured_where_there_is_a_choice_and_kept(self):
        said, picture = self.draw()
        self.assertEqual(said["cpu_kernel"], "best")
        self.assertEqual(self.draw(), (said, picture))
        if len(available()) < 3:
            self.assertEqual(said["device"], f"cpu: {TITLES[available()[0]]}, 1 thread")
            self.assertEqual(self.kept(), [])
            return
        (file,) = self.kept()
        self.assertRegex(file.name, r"^kernels-.*-avx512-avx2\.txt$")
        whole = file.read_text()
        words = "\n".join(f"{use} avx2" for use in ("attention", "convolutions", "products", "rows"))
        file.write_text(words + "\nwiden no\n")
        self.assertEqual(self.draw()[0]["device"], "cpu: AVX2, 1 thread")
        for damaged in ("", words, "\0" * 100, whole.replace("products avx", "products sse")):
            file.write_text(damaged)
            self.draw()
            self.assertRegex(file.read_text(), r"^attention avx\w+\nconvolutions avx\w+\nproducts avx\w+\nrows avx\w+\nwiden (yes|no)\n$")

    def test_a_cache_that_cannot_be_written_costs_nothing(self):
        (self.folder / "cache").write_text("a file")
        self.draw()
        self.assertEqual((self.folder / "cache").read_text(), "a file")

    def test_what_the_processor_does_not_have(self):
        for name in NEEDS.keys() - available():
            for command in (["generate", "-p", "a"], ["plan"], ["bench"]):
                with self.subTest(name=name, command=command):
                    result = self.run_program(*command, "--device", "cpu", "--cpu-kernel", name)
                    self.assert_fails(
                        result,
                        1,
                        f'CPU kernel "{name}": this processor does not have its instructions, expected best',
                        " or portable",
                    )

    def test_plan_and_bench_name_the_kernel(self):
        for command in (["plan", "--size", "64x64"], ["bench", "--size", "64x64", "-s", "1", "--repeat", "1"]):
            result = self.run_program(*command, "--device", "cpu", "-t", "1", "--cpu-kernel", "portable")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(b"cpu: portable, 1 thread", result.stdout)


if __name__ == "__main__":
    main()
