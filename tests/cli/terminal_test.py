"""What standard error looks like: redrawn progress on a terminal, plain lines elsewhere."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

from program import TIMEOUT, ProgramTest, environment, main

REQUEST = ["generate", "-p", "a red apple", "--size", "64x64", "--steps", "4", "--seed", "1"]
PLAIN = b"loading the model\ntext encoder\ndenoise, 4 steps\ndecode\n"
ERASE = b"\r\x1b[K"


class Terminal(ProgramTest):
    def on_terminal(self, *arguments, columns=80, env=None):
        """Runs with standard error on a terminal; gives what the terminal received."""
        ours, theirs = pty.openpty()
        # Without the terminal's own translation of newlines.
        modes = termios.tcgetattr(theirs)
        modes[1] &= ~termios.OPOST
        termios.tcsetattr(theirs, termios.TCSANOW, modes)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen(
            self.command(*REQUEST, *arguments),
            cwd=self.folder,
            env=env or environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        received = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # EIO: the other side is closed
                break
            if not piece:
                break
            received += piece
        os.close(ours)
        out, _ = process.communicate(timeout=TIMEOUT)
        self.assertEqual((process.returncode, out), (0, b"zimage-1.png\n"), received)
        os.remove(self.folder / "zimage-1.png")
        return received

    def test_pictures_are_shown(self):
        kitty = environment(KITTY_WINDOW_ID="1")
        wanted = ["--preview", "2", "--show"]
        for arguments, env, sign in (
            ([], kitty, b"\x1b_Ga=T,f=100"),
            ([], environment(TERM_PROGRAM="WezTerm"), b"\x1b]1337;File=inline=1;"),
            ([], environment(TERM="foot"), b"\x1bPq"),
            (["--terminal-graphics", "sixel"], kitty, b"\x1bPq"),
        ):
            with self.subTest(sign=sign, arguments=arguments):
                received = self.on_terminal(*wanted, *arguments, env=env)
                self.assertEqual(received.count(sign), 2)  # after step 2, and the picture
                self.assertEqual(os.listdir(self.folder), [])  # no file but the picture
        received = self.on_terminal("--show", env=environment(TMUX="1", KITTY_WINDOW_ID="1"))
        self.assertNotIn(b"\x1b_G", received)
        self.assertIn(b"--show: no terminal that is known", received)

    def test_progress_is_redrawn_in_place(self):
        received = self.on_terminal()
        self.assertNotIn(b"\n", received)
        states = [state.decode() for state in received.split(ERASE)]
        self.assertEqual((states[0], states[-1]), ("", ""))  # the last thing is to clear the line
        self.assertIn("loading the model", states)
        for step in range(5):
            shown = [s for s in states if s.startswith(f"denoise {step}/4")]
            self.assertEqual(len(shown), 1, states)
            if step > 0:
                bar = "#" * (20 * step // 4)
                self.assertRegex(
                    shown[0],
                    rf"^denoise {step}/4 \[{bar} *\] [\d.e+]+ (s/it|it/s), [\d. mins]+ left$",
                )

    def test_no_line_is_wider_than_the_terminal(self):
        for columns in (60, 40, 12, 5):
            for state in self.on_terminal(columns=columns).split(ERASE):
                self.assertLess(len(state), columns)

    def test_messages_and_progress_do_not_mix(self):
        received = self.on_terminal("-v")
        for line in received.split(b"\n"):
            # A message begins on a line of its own: at the start or behind an erased one.
            self.assertRegex(line.rsplit(ERASE, 1)[-1], rb"^[ -~]*$")
        self.assertIn(ERASE + b"device ", received)

    def test_plain_where_control_characters_are_not_wanted(self):
        for changes in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": None}):
            with self.subTest(changes):
                self.assertEqual(self.on_terminal(env=environment(**changes)), PLAIN)
        self.assertIn(ERASE, self.on_terminal(env=environment(NO_COLOR="")))

    def test_quiet(self):
        self.assertEqual(self.on_terminal("-q"), b"")

    def test_plain_where_it_is_no_terminal(self):
        result = self.run_program(*REQUEST)
        self.assertEqual(result.stderr, PLAIN)
        result = self.run_program(*REQUEST, "-v")
        self.assertIsNone(re.search(rb"[^\n -~]", result.stdout + result.stderr))

    def test_a_picture_is_not_written_to_a_terminal(self):
        ours, theirs = pty.openpty()
        result = self.run_program(*REQUEST, "-o", "-", stdout=theirs)
        os.close(ours)
        os.close(theirs)
        self.assert_fails(result, 2, "--output: standard output is a terminal")


if __name__ == "__main__":
    main()
