"""Many pictures of one command: names, lines with options, refusals, and going on where a job ended."""

import json
import os
import signal
import subprocess

from metadata_test import with_text
from program import ProgramTest, environment, main, pixels, texts

SMALL = ["--size", "32x32", "--steps", "1"]


class Job(ProgramTest):
    def job(self, *arguments, code=0, **options):
        """Runs a job; the names that it printed, and standard error."""
        result = self.run_program("generate", *SMALL, *arguments, **options)
        message = result.stderr.decode()
        self.assertEqual(result.returncode, code, message)
        return result.stdout.decode().split(), message

    def request(self, name):
        return json.loads(texts((self.folder / name).read_bytes())["zimage"])

    def lines(self, *lines):
        text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        (self.folder / "p.txt").write_text(text)
        return ["--prompt-file", "p.txt"]


class Names(Job):
    def test_prompts_by_seeds(self):
        names, message = self.job("-p", "a fox", "-p", "robot", "--seeds", "3,5-6", "-o", "x.png")
        self.assertEqual(names, [f"x-{p}-{s}.png" for p in (1, 2) for s in (3, 5, 6)])
        for name in names:
            prompt, seed = name[2:-4].split("-")
            request = self.request(name)
            self.assertEqual(request["prompt"], ["a fox", "robot"][int(prompt) - 1])
            self.assertEqual(request["seed"], int(seed))
        self.assertIn("picture 6 of 6: denoise\n", message)
        # Each is the picture of a command of its own.
        alone = self.generate("--seed", "5", "-o", "alone.png", prompt="robot", size=SMALL)
        self.assertEqual(alone.returncode, 0)
        one, other = ((self.folder / name).read_bytes() for name in ("alone.png", "x-2-5.png"))
        self.assertEqual(pixels(one), pixels(other))

    def test_folders_counts_and_formats(self):
        (self.folder / "all").mkdir()
        names, _ = self.job("-p", "a", "--seeds", "1-2", "-o", "all", "--format", "webp")
        self.assertEqual(names, ["all/zimage-1.webp", "all/zimage-2.webp"])
        names, _ = self.job("-p", "a", "-p", "b", "-n", "2", "--seed", "4")
        self.assertEqual(names, [f"zimage-{p}-4-{n}.png" for p in (1, 2) for n in (1, 2)])

    def test_a_random_seed_is_that_of_all(self):
        names, message = self.job("-p", "a", "-p", "b")
        seed = int(message.split("seed ")[1].split()[0])
        self.assertEqual(names, [f"zimage-1-{seed}.png", f"zimage-2-{seed}.png"])

    def test_the_text_encoder_runs_once_for_a_prompt(self):
        for keep in ("none", "all"):
            _, message = self.job("-p", "a", "--seeds", "1-3", "--keep", keep, "-o", keep + ".png")
            self.assertEqual(message.count("text encoder"), 1, message)


class Lines(Job):
    def test_lines_have_options(self):
        names, _ = self.job(
            *self.lines(
                "# two",
                "a red apple",
                {"prompt": "a fox", "seed": 9, "size": "48x32", "sigmas": [1, 0.5], "output": "fox.png"},
                {"prompt": "b", "seeds": "1-2", "guidance": 2, "negative_prompt": "c", "output": "b"},
            ),
            "--seed", "7",
        )
        self.assertEqual(names, ["zimage-2-7.png", "fox.png", "b-1.png", "b-2.png"])
        fox = self.request("fox.png")
        self.assertEqual((fox["seed"], fox["width"], fox["sigmas"]), (9, 48, [1, 0.5]))
        self.assertEqual(self.request("b-2.png")["negative_prompt"], "c")

    def test_a_bad_line_is_reported_and_the_rest_is_drawn(self):
        (self.folder / "broken.png").write_bytes(b"x")
        (self.folder / "out").symlink_to("/tmp")
        names, message = self.job(
            *self.lines(
                "a",
                "{",
                {"prompt": "a", "stpes": 3},
                {"prompt": "a", "steps": 0},
                {"prompt": "a", "steps": 5000},
                {"prompt": "a", "output": "/tmp/x.png"},
                {"prompt": "a", "output": "../x.png"},
                {"prompt": "a", "output": "out/x.png"},
                {"prompt": "a", "init_image": "broken.png"},
                {"prompt": "a", "init_image": "missing.png"},
                {"prompt": "a", "output": "same.png"},
                {"prompt": "b", "output": "same.png"},
                "z",
            ),
            "--seed", "1",
            code=4,
        )
        self.assertEqual(names, ["zimage-1-1.png", "same.png", "zimage-13-1.png"])
        for number in (2, 3, 4, 5, 6, 7, 8, 9, 10, 12):
            self.assertEqual(message.count(f"zimage: p.txt:{number}: "), 1, message)
        self.assertIn("same.png\" is the picture of p.txt:11", message)
        # They are reported before anything is drawn.
        self.assertLess(message.index("p.txt:10: "), message.index("denoise"))
        self.assertEqual(self.request("same.png")["prompt"], "a")

    def test_a_place_of_a_line_is_its_own_mistake(self):
        # Nobody can make a file in /proc, and no file system takes so long a name.
        here = str(self.folder.resolve()).lstrip("/")
        for output in ("proc/x.png", 260 * "x" + ".png", 251 * "x" + ".png", 248 * "x" + "/y.png"):
            with self.subTest(output):
                lines = self.lines(
                    {"prompt": "a", "output": output, "seeds": "1-2"},
                    {"prompt": "a", "output": here + "/a.png", "seed": 1},
                )
                names, message = self.job(*lines, "-o", "/", "--force", code=4)
                self.assertEqual(names, [f"/{here}/a.png"])
                self.assertIn("zimage: p.txt:1", message)
                self.assertNotIn("internal error", message)

    def test_a_name_that_would_steer_a_terminal(self):
        lines = [{"prompt": "a", "output": f"e{c}.png"} for c in ("\n", "\x1b[31m", "\x7f", "\u009b1m")]
        names, message = self.job(*self.lines(*lines, {"prompt": "a", "output": "\u732b.png"}), code=4)
        self.assertEqual(names, ["\u732b.png"])
        for number in range(1, 5):
            self.assertIn(f"zimage: p.txt:{number}: output: expected a name without control ", message)
        self.assertEqual(sorted(os.listdir(self.folder)), ["p.txt", "\u732b.png"])

    def test_white_space_before_json(self):
        names, _ = self.job(*self.lines(' \t{"prompt": "a fox", "output": "fox.png"}'))
        self.assertEqual(names, ["fox.png"])
        self.assertEqual(self.request("fox.png")["prompt"], "a fox")

    def test_standard_input(self):
        names, _ = self.job("--prompt-file", "-", "--seed", "1", input=b"\xef\xbb\xbfa\r\nb")
        self.assertEqual(names, ["zimage-1-1.png", "zimage-2-1.png"])

    def test_one_that_does_not_fit(self):
        names, message = self.job(
            *self.lines("a", {"prompt": "b", "size": "4096x4096"}, "c"),
            "--seed", "1", "--memory-limit", "600MiB",
            code=4,
        )
        self.assertEqual(names, ["zimage-1-1.png", "zimage-3-1.png"])
        self.assertIn("zimage: p.txt:2: the request needs ", message)


class OfAll(Job):
    """What is wrong with the command is said once, and nothing is drawn."""

    def refused(self, code, fragment, *arguments):
        for prompts in (["-p", "a", "-p", "b"], ["-p", "a", "--seeds", "1-3"], self.lines("a", "b")):
            with self.subTest(prompts):
                result = self.run_program("generate", *prompts, *arguments)
                self.assert_fails(result, code, fragment)
                self.assertNotIn(b"pictures are there", result.stderr)

    def test_places(self):
        self.refused(1, 'there is no folder "missing', "-o", "missing/")
        self.refused(1, 'there is no folder "missing', "-o", "missing/x.png")
        self.refused(2, "standard output takes one picture", "-o", "-")
        self.refused(1, 'cannot write "/proc/', "-o", "/proc/")
        self.refused(1, "File name too long", "-o", 252 * "x" + ".png")
        self.refused(2, "pictures are written as PNG, JPEG or WebP", "-o", "x.gif")
        self.refused(2, "--format is png", "-o", "x.jpg", "--format", "png")

    def test_requests(self):
        self.refused(2, "steps", "--steps", "5000")
        self.refused(1, "missing.png", "--init-image", "missing.png")

    def test_a_place_for_lines_with_names(self):
        lines = self.lines({"prompt": "a", "output": "x.png"}, {"prompt": "b", "output": "y.png"})
        self.assert_fails(
            self.run_program("generate", *lines, "-o", "missing/"), 1, 'there is no folder "missing'
        )
        self.assert_fails(self.run_program("generate", *lines, "-o", "-"), 2, "one picture")


class FromImage(Job):
    def test_with_seeds(self):
        self.generate("-o", "a.png", "--seed", "5", size=SMALL)
        names, _ = self.job("--from-image", "a.png", "--seeds", "5,6", "-o", "b.png")
        self.assertEqual(names, ["b-5.png", "b-6.png"])
        one, other = ((self.folder / name).read_bytes() for name in ("a.png", "b-5.png"))
        self.assertEqual(pixels(one), pixels(other))
        self.assertEqual(self.request("b-6.png")["prompt"], "a red apple")

    def test_of_another_model(self):
        self.generate("-o", "a.png", size=SMALL)
        text = json.dumps({**self.request("a.png"), "model": "other"})
        (self.folder / "b.png").write_bytes(with_text((self.folder / "a.png").read_bytes(), "zimage", text))
        _, message = self.job("--from-image", "b.png", "--seeds", "1-2")
        self.assertEqual(message.count('drawn by the model "other", this is "zimage-tiny"'), 1, message)


class Resume(Job):
    def test_json_tells_of_every_picture(self):
        command = ["-p", "a", "--seeds", "1-2", "-n", "2", "-o", "x.png", "--json"]
        command = ["generate", *SMALL, *command]
        drawn = [json.loads(line) for line in self.run_program(*command).stdout.splitlines()]
        self.assertEqual([line["there"] for line in drawn], 4 * [False])
        (self.folder / "x-2-1.png").unlink()
        again = [json.loads(line) for line in self.run_program(*command).stdout.splitlines()]
        # Those of a request that are there come before those that are drawn.
        self.assertEqual([line["there"] for line in again], [True, True, True, False])
        again = sorted(again, key=lambda line: line["file"])
        self.assertEqual([line["file"] for line in again], [line["file"] for line in drawn])
        for one, other in zip(drawn, again):
            for key, value in other.items():
                if key not in ("there", "seconds", "peak_memory_bytes"):
                    self.assertEqual(one[key], value, key)

    def test_what_is_there_is_not_drawn_again(self):
        command = ["-p", "a", "-p", "b", "--seeds", "1-2", "-o", "x.png"]
        first, _ = self.job(*command)
        (self.folder / "x-1-2.png").unlink()
        before = (self.folder / "x-2-1.png").stat().st_mtime_ns
        names, message = self.job(*command)
        self.assertEqual(names, ["x-1-2.png"])
        self.assertIn("3 of 4 pictures are there already", message)
        self.assertEqual((self.folder / "x-2-1.png").stat().st_mtime_ns, before)
        self.assertEqual(self.job(*command)[0], [])
        self.assertEqual(sorted(os.listdir(self.folder)), sorted(first))
        self.assertEqual(self.job(*command, "--force")[0], first)

    def test_another_request_is_kept_and_is_not_this_one(self):
        command = ["-p", "a", "--seeds", "1-2", "-o", "x.png"]
        self.job(*command)
        mine = (self.folder / "x-1.png").read_bytes()
        again, _ = self.job(*command, "--steps", "2")
        self.assertEqual(again, ["x-1-1.png", "x-2-1.png"])
        self.assertEqual((self.folder / "x-1.png").read_bytes(), mine)
        self.assertEqual(self.job(*command, "--steps", "2")[0], [])
        self.assertEqual(self.job(*command, "--seed-variety", "0.5")[0], ["x-1-2.png", "x-2-2.png"])

    def test_a_picture_of_somebody_else_is_kept(self):
        (self.folder / "x-1.png").write_text("mine")
        names, _ = self.job("-p", "a", "--seeds", "1-2", "-o", "x.png")
        self.assertEqual(names, ["x-1-1.png", "x-2.png"])
        self.assertEqual((self.folder / "x-1.png").read_text(), "mine")

    def test_of_a_count_those_that_are_missing(self):
        for format_ in ("png", "jpeg", "webp"):
            command = ["-p", "a", "--seeds", "1-2", "-n", "2", "--format", format_]
            names, _ = self.job(*command)
            (self.folder / names[2]).unlink()
            self.assertEqual(self.job(*command)[0], [names[2]])

    def test_a_job_that_is_stopped_says_how_it_goes_on(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
            command = ["-p", "a", "--seeds", "1-40", "--size", "64x64", "-o", f"{code}.png"]
            process = subprocess.Popen(
                self.command("generate", *command),
                cwd=self.folder,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            process.stdout.readline()
            process.send_signal(number)
            out, message = process.communicate(timeout=60)
            self.assertEqual(process.returncode, code, message)
            there = len(os.listdir(self.folder))
            if number == signal.SIGINT:
                self.assertIn(f"interrupted; {there} of 40 pictures are there", message.decode())
            self.assertFalse([n for n in os.listdir(self.folder) if n.endswith(".tmp")][1:])
            self.assertLess(there, 40)
            for name in os.listdir(self.folder):
                (self.folder / name).unlink()


if __name__ == "__main__":
    main()
