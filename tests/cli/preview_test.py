"""Previews, in files and in terminals."""

import os

from program import QUICK, ProgramTest, environment, main, pixels


class Previews(ProgramTest):
    def test_a_file_beside_the_picture(self):
        self.generate("-o", "a.png", "--seed", "1")
        result = self.generate("-o", "b.png", "--seed", "1", "--preview", "1")
        self.assertEqual(result.stdout, b"b.png\n")
        self.assertNotIn(b"\x1b", result.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), ["a.png", "b-preview.png", "b.png"])
        self.assertEqual((self.folder / "a.png").read_bytes(), (self.folder / "b.png").read_bytes())
        width, height, rows = pixels((self.folder / "b-preview.png").read_bytes())
        self.assertEqual((width, height), (8, 8))
        self.assertGreater(len(set(rows)), 4)

    def test_one_of_each_picture(self):
        self.generate("-o", "a.webp", "-n", "2", "--preview", "1")
        self.assertEqual(
            sorted(os.listdir(self.folder)),
            ["a-1-preview.png", "a-1.webp", "a-2-preview.png", "a-2.webp"],
        )

    def test_fewer_steps_than_previews_give_none(self):
        self.generate("-o", "a.png", "--preview", "2")
        self.assertEqual(os.listdir(self.folder), ["a.png"])

    def test_refusals(self):
        for arguments, code, words in (
            (["--preview", "0"], 2, "--preview"),
            (["--preview", "1", "-o", "-"], 2, "--preview: standard output has no name"),
            (["--terminal-graphics", "ascii"], 2, "expected auto or kitty"),
        ):
            with self.subTest(arguments):
                result = self.run_program("generate", "-p", "a", *QUICK, *arguments)
                self.assert_fails(result, code, words)

    def test_nothing_is_sent_into_a_pipe(self):
        env = environment(KITTY_WINDOW_ID="1")
        for arguments in (["--show"], ["--show", "--terminal-graphics", "sixel"]):
            result = self.generate("-o", "a.png", "--force", "--preview", "1", *arguments, env=env)
            self.assertNotIn(b"\x1b", result.stdout + result.stderr)
            self.assertIn(b"--show: no terminal that is known to show pictures", result.stderr)


if __name__ == "__main__":
    main()
