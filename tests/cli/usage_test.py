"""Help, version, and every request that is refused before a model is opened."""

import os
import re

from program import MODEL, ProgramTest, environment, main

COMMANDS = "generate repl show-metadata info plan models verify pull convert bench".split()
# A first line of an option: its names, and what stands for its value.
OPTION = re.compile(r"  (-\w(?:,--?[\w-]+)*|--[\w-]+(?:,--?[\w-]+)*)(?: ([A-Za-z]\S*))?(?:  |$)")
RANGE = re.compile(r"(above )?(\d[\w.]*) (?:up )?to (\d[\w.]*)")
# What stands for a number, and so has a range.
NUMBERS = {"N", "SIZE", "WxH", "WxH,...", "LIST", "NUMBER", "SCALE", "FACTOR", "TIME", "SHARE"}
# What stands for one of some words, which the help names.
WORDS = {"NAME", "KIND", "FORMAT", "MODE", "TYPE", "PARTS", "PRECISION", "ENCODING", "DEVICE", "HUB", "PART"}
# What cannot be wrong before it is looked for.
FREE = {"TEXT", "FILE", "FOLDER", "PATH", "MODEL", "REVISION", "GLOB", "SEEDS"}


class Help(ProgramTest):
    def test_every_level_has_help_with_examples(self):
        for command in ([], ["generate"], ["repl"], ["info"], ["bench"]):
            for flag in ("-h", "--help"):
                result = self.run_program(*command, flag)
                self.assertEqual(result.returncode, 0)
                self.assertEqual(result.stderr, b"")
                text = result.stdout.decode()
                self.assertIn("Usage: " + " ".join(["zimage", *command]), text)
                self.assertIn("Examples:\n  zimage ", text)

    def test_help_names_every_option_and_the_exit_codes(self):
        text = self.run_program("generate", "--help").stdout.decode()
        for option in (
            "-m,--model -p,--prompt --prompt-file -o,--output -W,--width -H,--height --size "
            "-s,--steps --sampler --sigmas --shift -g,--guidance --negative,--negative-prompt --cfg-normalization --cfg-truncation --init-image --strength --mask --no-composite --format --quality -n,--count --seed --seeds --rng --seed-variety -t,--threads --cpu-kernel --device -v,--verbose -q,--quiet --json --force"
        ).split():
            self.assertIn(f"  {option} ", text)
        self.assertIn("Exit codes: 0 ", text)

    def test_version(self):
        result = self.run_program("--version")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout.decode(), r"^zimage \d+\.\d+\.\d+\n$")

    def test_a_full_disk_is_no_success(self):
        with open("/dev/full", "wb") as full:
            result = self.run_program("--help", stdout=full)
        self.assert_fails(result, 1, "standard output: No space left on device")


class Options(ProgramTest):
    """Every option of every command: what its help says, and that what it says is so."""

    def options(self, command):
        """{name: (value or None, help)} of the options in a command's help, by their longest names."""
        result = {}
        text = self.run_program(command, "--help").stdout.decode()
        for line in text[: text.index("Examples:") if "Examples:" in text else None].splitlines():
            first = OPTION.match(line)
            if first:
                name = max(first.group(1).split(","), key=len)
                result[name] = (first.group(2), line[first.end() :].strip())
            elif line.startswith(" " * 20) and result:
                value, told = result[name]
                result[name] = (value, f"{told} {line.strip()}".strip())
            elif result and not re.fullmatch(r"[A-Z].*:|\s*", line):
                break  # the footer
        return result

    def refused(self, command, name, value):
        """Calls the command with one value of an option; it must be refused in one sentence that has both."""
        arguments = {
            "generate": ["-p", "a"],
            "pull": ["OWNER/NAME"],
            "convert": ["in", "out", "--to", "bf16"],
        }.get(command, [])
        if name == "--strength":
            picture = MODEL.parents[1] / "tests" / "golden" / "init.png"
            arguments = [*arguments, "--init-image", str(picture)]
        result = self.run_program(command, *arguments, f"{name}={value}")
        self.assert_fails(result, 2)
        message = result.stderr.decode()
        field = name[2:].replace("-", "_")
        names = {"size": ["width", "height", "--size"]}.get(field, [name, field])
        self.assertTrue(any(word in message for word in names), message)
        self.assertTrue(value in message or value.split("x")[0] in message, message)
        return message

    def test_what_takes_a_value_says_its_default_or_that_it_is_required(self):
        for command in COMMANDS:
            options = self.options(command)
            self.assertIn("--help", options)
            for name, (value, told) in options.items():
                with self.subTest(command=command, option=name):
                    if value is None:
                        self.assertNotIn("default:", told)
                        continue
                    self.assertIn(value, NUMBERS | WORDS | FREE)
                    self.assertRegex(told, r"\((?:[^()]*; ?)?(?:default: |required)[^()]*(?:\([^()]*\)[^()]*)?\)$")
                    self.assertEqual(value in NUMBERS, RANGE.search(told) is not None, told)

    def test_the_ranges_are_those_that_are_enforced(self):
        checked = 0
        for command in COMMANDS:
            for name, (value, told) in self.options(command).items():
                if value not in NUMBERS:
                    continue
                above, lowest, highest = RANGE.search(told).groups()
                for outside in outsides(value, lowest, highest, bool(above)):
                    with self.subTest(command=command, option=name, value=outside):
                        self.refused(command, name, outside)
                        checked += 1
        self.assertGreater(checked, 60)

    def test_the_ends_of_ranges_are_allowed(self):
        for name, (value, told) in self.options("plan").items():
            if value not in NUMBERS or name in ("--strength", "--memory-limit"):
                continue
            above, lowest, highest = RANGE.search(told).groups()
            ends = [highest] if above else [lowest, highest]
            if name in ("--width", "--height", "--size"):  # the largest plans take minutes
                ends = [lowest]
            for end in ends:
                with self.subTest(option=name, value=end):
                    result = self.run_program("plan", "--device", "cpu", "--steps=2" if name not in ("--steps", "--sigmas") else "-p=a", f"{name}={end}")
                    self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_words_are_those_that_are_known(self):
        for command in COMMANDS:
            for name, (value, told) in self.options(command).items():
                if value not in WORDS or name == "--config":
                    continue
                with self.subTest(command=command, option=name):
                    message = self.refused(command, name, "frobnicate")
                    known = re.search(r"expected (.*), found ", message).group(1)
                    for word in re.split(r" or |, ", known):
                        self.assertRegex(told, rf"(?<![\w-]){re.escape(word)}(?![\w-])")


def outsides(value, lowest, highest, above):
    """Values just below and just above a range; `above`: the lowest is outside itself."""
    if value in ("SIZE", "WxH", "WxH,..."):
        number = lambda text: int(re.match(r"\d+", text).group())
        unit = lambda text: re.sub(r"\d+", "", text)
        if value == "SIZE":
            return [f"{number(lowest) - 1}{unit(lowest)}", f"{number(highest) + 1}{unit(highest)}"]
        return [f"{number(lowest) - 1}x16", f"{number(highest) + 1}x16"]
    if value == "N":
        return [str(int(lowest) - 1), str(int(highest) + 1)]
    low = float(lowest) if above else float(lowest) - 0.125
    return [f"{low:g}", f"{float(highest) + 0.125:g}", "nan", "inf"]


class Refusals(ProgramTest):
    def refused(self, arguments, *fragments):
        with self.subTest(arguments=arguments):
            result = self.run_program(*arguments)
            self.assert_fails(result, 2, *fragments)
            self.assert_empty()

    def test_commands(self):
        self.refused([], "a command is needed: generate, repl, show-metadata, info, plan, models, verify, pull, convert or bench")
        self.refused(["generat", "-p", "x"], 'unknown command "generat"; did you mean generate?')
        self.refused(["frobnicate"], 'unknown command "frobnicate" (see zimage --help)')

    def test_unknown_options(self):
        self.refused(["--foo"], 'unknown option "--foo" (see zimage --help)')
        self.refused(
            ["generate", "-p", "a", "--stpes", "4"],
            'unknown option "--stpes"; did you mean --steps? (see zimage generate --help)',
        )
        self.refused(["generate", "-p", "a", "--hieght=4"], "did you mean --height?")
        self.refused(["generate", "-p", "a", "--embellish", "b"], 'unknown option "--embellish"')
        self.refused(["generate", "-x"], 'unknown option "-x"')
        self.refused(["info", "a", "b"], 'unknown argument "b"')
        self.refused(["generate", "a cat"], 'unknown argument "a cat"; the prompt goes in quotes')

    def test_missing_and_conflicting(self):
        self.refused(["generate"], "a prompt is needed: -p TEXT or --prompt-file FILE")
        self.refused(["generate", "-p"], "-p: a value is needed")
        self.refused(["generate", "-p", "a", "--seed", "1", "--seeds", "2"], "--seed and --seeds")
        self.refused(["generate", "-p", "a", "--prompt-file", "b"], "exclude each other")
        self.refused(["generate", "-p", "a", "--size", "9x9", "-W", "9"], "--size and --width")
        self.refused(["generate", "-p", "a", "-q", "-v"], "--quiet and --verbose")
        alone = "has no meaning without --init-image"
        self.refused(["generate", "-p", "a", "--strength", "0.5"], "--strength " + alone)
        self.refused(["generate", "-p", "a", "--mask", "m.png"], "--mask " + alone)
        self.refused(
            ["generate", "-p", "a", "--init-image", "i.png", "--no-composite"], "without --mask"
        )

    def test_values(self):
        def value(option, text, *fragments):
            self.refused(["generate", "-p", "a", option, text], f'found "{text}"', *fragments)

        for option in ("--width", "--height", "--steps"):
            for text in ("0", "-1", "x", "", "1.5", "8k", " 8", "+8", "0x10", "9" * 20):
                value(option, text, f"{option}: expected a whole number of 1 or more")
        for text in ("256", "256x", "x256", "0x256", "256x-1", "256*256", "axb"):
            value("--size", text, "--size: expected a width and a height")
        for text in ("-1", "18446744073709551616", "random"):
            value("--seed", text, "--seed: expected a whole number from 0 to 18446744073709551615")
        value("--rng", "gpu", "--rng: expected cpu or cuda")
        value("--sampler", "ddim", "--sampler: expected euler, heun, dpmpp-1, dpmpp-2m, dpmpp-3m or ")
        for text in ("", "1,x", "1 0.5"):
            self.refused(["generate", "-p", "a", "--sigmas", text], "--sigmas: expected a number such as 0.5")
        value("--guidance", "big", "--guidance: expected a number such as 0.5")
        value("--shift", "big", "--shift: expected a number such as 0.5")
        for text in ("tpu", "cuda:", "cuda:x", "cuda:-1", "cuda:-0"):
            value("--device", text, "--device: expected auto, cpu, cuda or cuda:N")
        for text in ("sse9", "AVX2", ""):
            value("--cpu-kernel", text, "--cpu-kernel: expected best or avx512 or avx2 or portable")
        for text in ("0", "-2", "5000"):
            value("--threads", text, "--threads: expected a whole number from 1 to 4096")
        for text in ("0", "65", "two"):
            value("--count", text, "--count: expected a whole number from 1 to 64")
        self.refused(["bench", "--repeat", "0"], "--repeat: expected a whole number from 1 to 1000")
        value("--output", "", "--output: expected a path")
        value("--model", "", "--model: expected a folder")

    def test_a_terminal_is_not_steered_by_arguments(self):
        result = self.run_program("generate", "-p", "a", "--\x1b[2Jx")
        self.assertEqual(result.returncode, 2)
        self.assertNotIn(b"\x1b", result.stderr)


class Prompts(ProgramTest):
    def test_text_that_is_no_utf8(self):
        result = self.run_program(*(os.fsencode(a) for a in ("generate", "-p")), b"caf\xe9")
        self.assert_fails(result, 2, "--prompt: expected UTF-8, found byte 0xe9 at offset 3")

    def test_files(self):
        def refused(content, *fragments):
            (self.folder / "prompt.txt").write_bytes(content)
            result = self.run_program("generate", "--prompt-file", "prompt.txt")
            self.assert_fails(result, 4, "prompt.txt:1: ", *fragments)

        refused(b"caf\xe9\n", "expected UTF-8, found byte 0xe9 at offset 3")
        refused("a cat".encode("utf-16"), "expected UTF-8")
        refused(b"a\0b", "expected text, found a zero byte at offset 1")
        refused(b"a" * (2 << 20), "more than 1048576 bytes")
        (self.folder / "prompt.txt").write_text("# nothing\n\n")
        result = self.run_program("generate", "--prompt-file", "prompt.txt")
        self.assert_fails(result, 1, '"prompt.txt": expected a prompt on each line, found none')
        result = self.run_program("generate", "--prompt-file", "missing.txt")
        self.assert_fails(result, 1, '"missing.txt": No such file or directory')
        result = self.run_program("generate", "--prompt-file", ".")
        self.assert_fails(result, 1, '"."')
        result = self.run_program("generate", "--prompt-file", "-", input=b"\xff")
        self.assert_fails(result, 4, "line:1: ", "expected UTF-8, found byte 0xff at offset 0")


class Models(ProgramTest):
    def test_no_such_model(self):
        result = self.run_program("generate", "-p", "a", "-m", "missing")
        self.assert_fails(result, 1, '--model: there is no folder "missing"')
        result = self.run_program("info", "missing")
        self.assert_fails(result, 1, '--model: there is no folder "missing"')
        result = self.run_program("info", env=environment(ZIMAGE_MODEL="/missing"))
        self.assert_fails(result, 1, 'ZIMAGE_MODEL: there is no folder "/missing"')
        (self.folder / "file").write_text("")
        result = self.run_program("generate", "-p", "a", "-m", "file")
        self.assert_fails(result, 1, '--model: expected a model\'s folder, its name, or a file of all parts; "file" holds no part')


if __name__ == "__main__":
    main()
