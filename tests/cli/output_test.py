"""Where pictures go: names, folders, devices, failures, and what the file carries."""

import json
import os
import re
import resource
import stat
import subprocess
import time

from program import MODEL, QUICK, ProgramTest, environment, main, pixels, texts


class Names(ProgramTest):
    def printed(self, result):
        return result.stdout.decode()

    def test_the_default_name_is_the_seed(self):
        self.assertEqual(self.printed(self.generate("--seed", "7")), "zimage-7.png\n")
        self.assertEqual(os.listdir(self.folder), ["zimage-7.png"])

    def test_without_a_seed_one_is_drawn_and_printed(self):
        result = self.generate()
        seed = re.search(r"^seed (\d+)$", result.stderr.decode(), re.M).group(1)
        self.assertEqual(self.printed(result), f"zimage-{seed}.png\n")
        self.assertNotEqual(self.printed(self.generate()), self.printed(result))

    def test_an_existing_file_is_kept(self):
        (self.folder / "cat.png").write_text("mine")
        self.assertEqual(self.printed(self.generate("-o", "cat.png")), "cat-1.png\n")
        self.assertEqual(self.printed(self.generate("-o", "cat.png")), "cat-2.png\n")
        self.assertEqual((self.folder / "cat.png").read_text(), "mine")
        self.assertEqual(self.printed(self.generate("-o", "cat.png", "--force")), "cat.png\n")
        self.assertEqual((self.folder / "cat.png").read_bytes()[:4], b"\x89PNG")
        self.assertEqual(sorted(os.listdir(self.folder)), ["cat-1.png", "cat-2.png", "cat.png"])

    def test_several_pictures_are_numbered(self):
        (self.folder / "cat-2.png").write_text("mine")
        result = self.generate("-n", "3", "-o", "cat.png")
        self.assertEqual(self.printed(result), "cat-1.png\ncat-2-1.png\ncat-3.png\n")
        self.assertEqual((self.folder / "cat-2.png").read_text(), "mine")
        result = self.generate("-n", "2", "-o", "cat.png", "--force")
        self.assertEqual(self.printed(result), "cat-1.png\ncat-2.png\n")
        (self.folder / "all").mkdir()
        result = self.generate("-n", "2", "-o", "all", "--seed", "7")
        self.assertEqual(self.printed(result), "all/zimage-7-1.png\nall/zimage-7-2.png\n")

    def test_a_stream_takes_one_picture(self):
        for path, words in (("-", "standard output"), ("/dev/full", '"/dev/full"')):
            result = self.run_program("generate", "-p", "a", "-n", "2", "-o", path)
            self.assert_fails(result, 2, f"--output: {words} takes one picture, found --count 2")

    def test_a_dangling_link_is_a_name_that_is_taken(self):
        (self.folder / "cat.png").symlink_to("nowhere.png")
        self.assertEqual(self.printed(self.generate("-o", "cat.png")), "cat-1.png\n")
        self.assertFalse((self.folder / "nowhere.png").exists())

    def test_force_replaces_what_a_link_names(self):
        (self.folder / "real.png").write_text("mine")
        (self.folder / "link.png").symlink_to("real.png")
        self.generate("-o", "link.png", "--force")
        self.assertTrue((self.folder / "link.png").is_symlink())
        self.assertEqual((self.folder / "real.png").read_bytes()[:4], b"\x89PNG")

    def test_a_folder_gets_the_default_name(self):
        (self.folder / "pictures").mkdir()
        for spelling in ("pictures", "pictures/"):
            self.generate("-o", spelling, "--seed", "3", "--force")
        self.assertEqual(os.listdir(self.folder / "pictures"), ["zimage-3.png"])

    def test_names_of_any_bytes(self):
        name = "\u4e00\u53ea\u732b \u2603.png".encode()
        self.assertEqual(self.generate(b"-o", name).stdout, name + b"\n")
        self.assertEqual(self.generate(b"-o", b"bad\xff.png").stdout, b"bad\xff.png\n")
        self.assertEqual(sorted(os.listdir(os.fsencode(self.folder))), sorted([name, b"bad\xff.png"]))

    def test_new_files_have_usual_permissions(self):
        self.generate("-o", "cat.png", preexec_fn=lambda: os.umask(0o027))
        mode = stat.S_IMODE((self.folder / "cat.png").stat().st_mode)
        self.assertEqual(mode, 0o640)

    def test_two_at_once_get_two_names(self):
        commands = [
            subprocess.Popen(
                self.command("generate", "-p", "a", *QUICK, "-o", "cat.png"),
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(3)
        ]
        names = sorted(command.communicate()[0].decode() for command in commands)
        self.assertEqual(names, ["cat-1.png\n", "cat-2.png\n", "cat.png\n"])
        self.assertEqual(len(os.listdir(self.folder)), 3)


class Refusals(ProgramTest):
    """The place is checked before the model is opened: a refusal names no stage."""

    def refused(self, arguments, code, *fragments):
        with self.subTest(arguments=arguments):
            before = sorted(os.listdir(self.folder))
            result = self.run_program("generate", "-p", "a", *QUICK, *arguments)
            self.assert_fails(result, code, *fragments)
            self.assertNotIn(b"loading", result.stderr)
            self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_folders(self):
        (self.folder / "file").write_text("")
        self.refused(["-o", "missing/cat.png"], 1, '--output: there is no folder "missing"')
        self.refused(["-o", "missing/"], 1, '--output: there is no folder "missing/"')
        self.refused(["-o", "file/cat.png"], 1, '--output: "file" is no folder')
        self.refused(["-o", "file/"], 1, '--output: folder "file/": Not a directory')
        (self.folder / "cat.png").mkdir()
        self.refused(["-o", "./", "--seed", "1", "-o", "x" * 300 + ".png"], 1, "File name too long")

    def test_a_folder_stands_where_the_file_goes(self):
        (self.folder / "zimage-1.png").mkdir()
        self.refused(["--seed", "1", "--force"], 1, 'cannot write "zimage-1.png": Is a directory')

    def test_folders_that_nobody_may_write(self):
        # Permissions do not stop root; these two folders take no files from anyone.
        for folder in ("/proc", "/sys"):
            self.refused(["-o", folder + "/cat.png"], 1, f'cannot write "{folder}/cat.png": ')
        if os.geteuid() != 0:
            (self.folder / "locked").mkdir(mode=0o555)
            self.refused(["-o", "locked/"], 1, "Permission denied")

    def test_other_formats(self):
        for name in ("cat.gif", "cat.TIFF", "cat.avif"):
            self.refused(["-o", name], 2, "--output: pictures are written as PNG", name)


class Devices(ProgramTest):
    def test_a_full_device(self):
        result = self.run_program("generate", "-p", "a", *QUICK, "-o", "/dev/full")
        self.assert_fails(result, 1, 'cannot write "/dev/full": No space left on device')
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/full").st_mode))

    def test_a_disk_that_fills_up(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

        result = self.run_program(
            "generate", "-p", "a", *QUICK, "-o", "cat.png", preexec_fn=limit
        )
        self.assert_fails(result, 1, 'cannot write "cat.png": File too large')
        self.assert_empty()

    def test_standard_output(self):
        for path in ("-", "/dev/stdout"):
            result = self.generate("-o", path, "--json", "--seed", "4")
            width, height, _ = pixels(result.stdout)
            self.assertEqual((width, height), (64, 64))
            report = json.loads(result.stderr.decode().splitlines()[-1])
            self.assertEqual((report["file"], report["seed"]), ("-", 4))
        with open(self.folder / "cat.png", "wb") as file:
            self.generate("-o", "/dev/stdout", stdout=file)
        pixels((self.folder / "cat.png").read_bytes())
        self.assertEqual(os.listdir(self.folder), ["cat.png"])

    def test_standard_output_that_is_full(self):
        with open("/dev/full", "wb") as full:
            result = self.run_program("generate", "-p", "a", *QUICK, "-o", "-", stdout=full)
        self.assert_fails(result, 1, "cannot write to standard output: No space left on device")

    def test_closed_standard_streams(self):
        # Files that the program opens must not take the numbers of the streams.
        def close():
            os.closerange(0, 3)

        self.generate("-o", "open.png", "--seed", "2")
        status = subprocess.run(
            self.command("generate", "-p", "a red apple", *QUICK, "-o", "closed.png", "--seed", "2"),
            cwd=self.folder,
            env=environment(),
            preexec_fn=close,
        ).returncode
        self.assertEqual(status, 0)
        with_streams, without = (
            (self.folder / name).read_bytes() for name in ("open.png", "closed.png")
        )
        self.assertEqual(with_streams, without)

    def test_a_pipe_with_a_name(self):
        os.mkfifo(self.folder / "pipe")
        reader = subprocess.Popen(["cat", "pipe"], cwd=self.folder, stdout=subprocess.PIPE)
        self.generate("-o", "pipe")
        pixels(reader.communicate()[0])

    def test_a_device_that_takes_everything(self):
        self.assertEqual(self.generate("-o", "/dev/null").stdout, b"/dev/null\n")


class Reports(ProgramTest):
    def test_json(self):
        start = time.monotonic()
        result = self.generate("--json", "--seed", "18446744073709551615", prompt="")
        elapsed = time.monotonic() - start
        line = result.stdout.decode()
        self.assertEqual(line.count("\n"), 1)
        report = json.loads(line)
        self.assertEqual(report["file"], "zimage-18446744073709551615.png")
        self.assertEqual(report["seed"], 18446744073709551615)
        self.assertEqual((report["width"], report["height"], report["steps"]), (64, 64, 2))
        self.assertEqual((report["rng"], report["model"]), ("cpu", "zimage-tiny"))
        self.assertGreaterEqual(report["tokens"], 5)
        self.assertEqual(report["tokens_dropped"], 0)
        self.assertTrue(report["device"])
        seconds = report["seconds"]
        self.assertEqual(
            list(seconds), ["load", "text_encoder", "denoise", "decode", "save", "total"]
        )
        self.assertLessEqual(seconds["total"], elapsed)
        self.assertLessEqual(sum(seconds.values()) - seconds["total"], seconds["total"] + 1e-9)
        # More than the weights' files would be a mistake of units; less than 1 MiB, too.
        self.assertGreater(report["peak_memory_bytes"], 1 << 20)
        self.assertLess(report["peak_memory_bytes"], 1 << 31)

    def test_json_with_a_file_name_of_any_bytes(self):
        result = self.generate(b"--json", b"-o", b"bad\xff.png")
        self.assertEqual(json.loads(result.stdout)["file"], "bad\ufffd.png")

    def test_quiet_prints_the_path_only(self):
        result = self.generate("-q", "--seed", "5")
        self.assertEqual((result.stdout, result.stderr), (b"zimage-5.png\n", b""))

    def test_verbose(self):
        text = self.generate("-v").stderr.decode()
        self.assertRegex(text, r"(?m)^model .*zimage-tiny$")
        self.assertRegex(text, r"(?m)^device cpu: ")
        self.assertRegex(text, r"(?m)^plan: denoise: weights [1-9][\d.]* MiB, activations [\d.]+ MiB")
        self.assertRegex(text, r"(?m)^time: load .* denoise .* s/?i?t?.*, peak memory [\d.]+ MiB$")


class Metadata(ProgramTest):
    PROMPTS = {
        "plain": "a red apple",
        "latin": "un caf\u00e9, s'il vous pla\u00eet",
        "chinese": "\u4e00\u53ea\u767d\u732b, \u6c34\u5f69\U0001f408",
        "lines": 'two lines\n"quoted": a, b',
        "empty": "",
    }

    @staticmethod
    def parse_a1111(text):
        """The prompt and the settings, as readers of A1111's text take them apart."""
        pattern = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
        *lines, last = text.strip().split("\n")
        assert len(pattern.findall(last)) >= 3
        return "\n".join(lines), dict(pattern.findall(last))

    def test_readers_of_a1111_text_understand_it(self):
        for name, prompt in self.PROMPTS.items():
            with self.subTest(name):
                self.generate("-o", name + ".png", "--seed", "9", prompt=prompt)
                text = texts((self.folder / (name + ".png")).read_bytes())["parameters"]
                found, settings = self.parse_a1111(text)
                self.assertEqual(found, prompt)
                self.assertEqual(settings["Steps"], "2")
                self.assertEqual(settings["Sampler"], "Euler")
                self.assertEqual(settings["CFG scale"], "1")
                self.assertEqual(settings["Seed"], "9")
                self.assertEqual(settings["Size"], "64x64")
                self.assertEqual(settings["Model"], "zimage-tiny")
                self.assertRegex(settings["Version"], r"^zimage \d")

    def test_the_request_draws_the_picture_again(self):
        self.generate(
            "-o", "first.png", "--seed", "18446744073709551615", "--rng", "cuda",
            prompt=self.PROMPTS["chinese"], size=["--size", "72x50", "--steps", "3"],
        )
        first = (self.folder / "first.png").read_bytes()
        request = json.loads(texts(first)["zimage"])
        self.assertEqual(request["prompt"], self.PROMPTS["chinese"])
        self.generate(
            "-o", "second.png", "--seed", str(request["seed"]), "--rng", request["rng"],
            prompt=request["prompt"],
            size=["-W", str(request["width"]), "-H", str(request["height"]),
                  "-s", str(request["steps"])],
        )
        second = (self.folder / "second.png").read_bytes()
        self.assertEqual(pixels(first), pixels(second))
        self.assertEqual(pixels(first)[:2], (72, 50))

    def test_a_model_name_with_commas_stays_one_value(self):
        (self.folder / "a, b: c").symlink_to(MODEL)
        os.mkdir(self.folder / "real, name")
        for part in os.listdir(MODEL):
            (self.folder / "real, name" / part).symlink_to(MODEL / part)
        self.generate("-o", "x.png", env=environment(ZIMAGE_MODEL=str(self.folder / "real, name")))
        text = texts((self.folder / "x.png").read_bytes())["parameters"]
        self.assertEqual(self.parse_a1111(text)[1]["Model"], '"real, name"')


if __name__ == "__main__":
    main()
