"""docs/examples.md: it is what its script writes, its commands are understood, its pictures are theirs."""

import re
import shlex
import sys
from pathlib import Path

from program import ProgramTest, main

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import make_examples  # noqa: E402


class Examples(ProgramTest):
    def commands(self):
        """(arguments, standard input) of each command of the page."""
        for block in re.findall(r"```sh\n(.*?)```", make_examples.PAGE.read_text(), re.S):
            for line in block.splitlines():
                words = shlex.split(line)
                typed = None
                if "|" in words:
                    self.assertEqual(words[:2], ["printf", r"%s\n"], line)
                    bar = words.index("|")
                    typed = "".join(word + "\n" for word in words[2:bar])
                    words = words[bar + 1 :]
                self.assertEqual(words[0], "zimage", line)
                yield words[1:], typed

    def test_the_page_is_what_the_script_writes(self):
        self.assertEqual(make_examples.PAGE.read_text(), make_examples.page())

    def test_every_command_is_understood(self):
        (self.folder / "tests").symlink_to(ROOT / "tests")
        for picture in make_examples.PICTURES.iterdir():  # examples begin from those of earlier ones
            (self.folder / picture.name).symlink_to(picture)
        found = 0
        for arguments, typed in self.commands():
            with self.subTest(arguments=arguments):
                found += 1
                if arguments[0] == "show-metadata":
                    self.assertEqual(self.run_program(*arguments).returncode, 0)
                    continue
                # Everything is read and checked but the model, which is not there.
                result = self.run_program(*arguments, "-m", "missing", input=(typed or "").encode())
                self.assert_fails(result, 1, '--model: there is no folder "missing"')
        self.assertGreater(found, 8)

    def test_the_pictures_are_there_and_those_of_their_commands(self):
        named = {name for *_, names in make_examples.EXAMPLES for name in names}
        there = {path.name: path.read_bytes() for path in make_examples.PICTURES.iterdir()}
        self.assertEqual(set(there), named)
        self.assertLess(sum(map(len, there.values())), 60_000)
        for _, _, commands, names in make_examples.EXAMPLES:
            prompts = re.findall(r'"([^"]{3,})"', " ".join(commands))
            # What is drawn again has the prompt of the other picture.
            if any("--from-image" in command for command in commands):
                continue
            for name in names:
                if name.endswith("-preview.png"):  # which says nothing of its making
                    continue
                told = self.run_program("show-metadata", str(make_examples.PICTURES / name))
                self.assertTrue(any(prompt in told.stdout.decode() for prompt in prompts), name)


if __name__ == "__main__":
    main()
