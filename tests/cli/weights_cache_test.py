"""Weights that are kept from one start to the next: the same picture, never from a file that is not
true, and never a reason to fail."""

import json
import os
import resource
import shutil
import signal
import struct
import subprocess

from program import MODEL, ProgramTest, environment, main, pixels

PARTS = ("text_encoder", "transformer", "vae")
MAPPED = "is mapped from"
WRITTEN = "is written to"


class WeightsCache(ProgramTest):
    def setUp(self):
        super().setUp()
        self.cache = self.folder / "cache"

    def picture(self, name):
        return pixels((self.folder / name).read_bytes())

    def draw(self, *arguments, **options):
        """Draws one picture with the cache; its pixels, and what was said."""
        arguments = ("-v", "--seed", "1", "--force", "-o", "a.png", "--weights-cache", "cache", *arguments)
        result = self.generate(*arguments, **options)
        return self.picture("a.png"), result.stderr.decode()

    def files(self):
        return sorted(self.cache.iterdir())

    def file_of(self, part):
        (path,) = self.cache.glob(part + "-*.slabs")
        return path

    def test_the_second_start_maps_what_the_first_wrote(self):
        self.generate("--seed", "1", "-o", "plain.png")
        plain = self.picture("plain.png")
        for words in (WRITTEN, MAPPED):
            drawn, said = self.draw()
            self.assertEqual(drawn, plain)
            for part in PARTS:
                self.assertIn(f"weights cache: the {part} {words}", said)
        self.assertEqual([path.name.split("-")[0] for path in self.files()], sorted(PARTS))

    def test_networks_that_are_released_come_back(self):
        plain, _ = self.draw("--weights-cache", "other")
        self.draw("--keep", "none")
        drawn, said = self.draw("--keep", "none", "--load", "preload")
        self.assertEqual(drawn, plain)
        self.assertIn(MAPPED, said)

    def test_the_file_is_safetensors_of_whole_pages(self):
        self.draw()
        data = self.file_of("transformer").read_bytes()
        (size,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + size])
        self.assertEqual(header.pop("__metadata__")["format"], "zimage slabs 1")
        self.assertEqual((8 + size) % 65536, 0)
        for entry in header.values():
            self.assertEqual(entry["data_offsets"][0] % 65536, 0)

    def test_a_file_that_is_not_true_is_written_anew(self):
        plain, _ = self.draw()
        path = self.file_of("transformer")
        whole = path.read_bytes()
        (size,) = struct.unpack("<Q", whole[:8])
        header = json.loads(whole[8 : 8 + size])

        def with_header(changed):
            text = json.dumps(changed).encode()
            return whole[:8] + text + b" " * (size - len(text)) + whole[8 + size :]

        name = next(key for key in header if key != "__metadata__")
        meta = header["__metadata__"]
        renamed = {("other" if key == name else key): value for key, value in header.items()}
        cases = {
            "truncated": whole[:-65536],
            "empty": b"",
            "noise": os.urandom(100000),
            "other format": with_header({**header, "__metadata__": {**meta, "format": "2"}}),
            "other layout": with_header({**header, "__metadata__": {**meta, "layout": "cpu x"}}),
            "other sources": with_header({**header, "__metadata__": {**meta, "sources": "0"}}),
            "no metadata": with_header({k: v for k, v in header.items() if k != "__metadata__"}),
            "other slab": with_header(renamed),
        }
        for case, data in cases.items():
            path.write_bytes(data)
            drawn, said = self.draw()
            self.assertEqual(drawn, plain, case)
            lines = [line for line in said.splitlines() if "weights cache" in line and path.name in line]
            self.assertIn(f"the transformer {WRITTEN}", lines[-1], case)
            self.assertIn("the transformer " + MAPPED, self.draw()[1], case)
            self.assertEqual(path.read_bytes()[size + 8 :], whole[size + 8 :], case)
        self.assertEqual(len(self.files()), 3)

    def test_changed_sources_are_noticed(self):
        shutil.copytree(MODEL, self.folder / "model")
        self.draw("-m", "model")
        path = next((self.folder / "model" / "vae").glob("*.safetensors"))
        data = bytearray(path.read_bytes())
        data[-2:] = b"\0\0"
        path.write_bytes(data)
        _, said = self.draw("-m", "model")
        self.assertIn("from other files, or they have changed; it is written anew", said)
        self.assertIn(f"the vae {WRITTEN}", said)
        self.assertIn(f"the transformer {MAPPED}", said)

    def test_a_disk_that_fills_is_no_reason_to_fail(self):
        plain, _ = self.draw("--weights-cache", "other")

        def limit_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, 8 << 20))

        drawn, said = self.draw(preexec_fn=limit_files)
        self.assertEqual(drawn, plain)
        self.assertRegex(said, "weights cache: .*transformer.* cannot be written: File too large")
        # What fitted is kept, of the others nothing.
        self.assertEqual([path for path in self.files() if path.suffix != ".slabs"], [])
        self.assertFalse(list(self.cache.glob("transformer*")))

    def test_a_folder_that_cannot_be_made_is_no_reason_to_fail(self):
        self.cache.write_text("a file")
        _, said = self.draw()
        self.assertIn("weights cache: ", said)
        self.assertIn("loading without it", said)

    def test_processes_that_start_together_leave_one_whole_file(self):
        command = self.command(
            "generate", "-p", "a", "--seed", "1", "--size", "64x64", "--steps", "1", "--weights-cache", "cache"
        )
        children = [
            subprocess.Popen(
                [*command, "-o", f"{i}.png"], cwd=self.folder, env=environment(), stdout=-1, stderr=-1
            )
            for i in range(4)
        ]
        for child in children:
            _, said = child.communicate(timeout=120)
            self.assertEqual(child.returncode, 0, said.decode())
        self.assertEqual(len({str(self.picture(f"{i}.png")) for i in range(4)}), 1)
        self.assertEqual([path.name.split("-")[0] for path in self.files()], sorted(PARTS))
        self.assertEqual(self.draw()[1].count(MAPPED), 3)

    def test_what_a_killed_process_left_is_overwritten(self):
        self.draw()
        path = self.file_of("transformer")
        path.rename(str(path) + ".tmp")
        self.assertIn(f"the transformer {WRITTEN}", self.draw()[1])
        self.assertEqual(len(self.files()), 3)

    def test_random_weights_have_none(self):
        result = self.run_program("bench", "--random-weights", "--weights-cache", "cache")
        self.assert_fails(result, 2, "--random-weights and --weights-cache exclude each other")

    def test_preloading_draws_the_same_picture(self):
        self.generate("--seed", "1", "-o", "a.png")
        self.generate("--seed", "1", "-o", "b.png", "--load", "preload")
        self.assertEqual(self.picture("a.png"), self.picture("b.png"))
        self.assert_fails(self.run_program("generate", "-p", "a", "--load", "all"), 2, "--load: expected")


if __name__ == "__main__":
    main()
