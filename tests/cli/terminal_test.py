"""What standard error looks like: redrawn progress on a terminal, plain lines elsewhere."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from program import TIMEOUT, ProgramTest, environment, main

REQUEST = ["generate", "-p", "a red apple", "--size", "64x64", "--steps", "4", "--seed", "1"]
PLAIN = b"loading the model\ntext encoder\ndenoise, 4 steps\ndecode\n"
ERASE = b"\r\x1b[K"
# For kitty's pictures, and for the device attributes.
QUESTION = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b8\x1b[K\x1b[c"


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

    def asked(self, answer, *arguments, env=None, background=False, typed=b"", late=False, code=0):
        """Runs in the foreground of a terminal that answers the question for its graphics, or not
        with None; gives what it received and what is left of its input."""
        ours, theirs = pty.openpty()
        modes = termios.tcgetattr(theirs)
        modes[1] &= ~termios.OPOST
        termios.tcsetattr(theirs, termios.TCSANOW, modes)
        modes = termios.tcgetattr(theirs)
        os.write(ours, typed)
        command = self.command(*REQUEST, "--preview", "2", "--show", *arguments)
        if background:
            command = ["sh", "-c", 'set -m; "$@" & wait', "sh", *command]
        process = subprocess.Popen(
            command, cwd=self.folder, env=env or environment(), stdin=theirs, stdout=subprocess.PIPE,
            stderr=theirs, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        received = b""
        waits_for = b"denoise 0/4" if late else QUESTION
        deadline = time.monotonic() + TIMEOUT
        while process.poll() is None or select.select([ours], [], [], 0)[0]:
            self.assertLess(time.monotonic(), deadline, received)
            if not select.select([ours], [], [], 0.05)[0]:
                continue
            received += os.read(ours, 65536)
            if answer is not None and QUESTION in received and waits_for in received:
                os.write(ours, answer)
                answer = None
        out = b"zimage-1.png\n" if code == 0 else b""
        self.assertEqual((process.returncode, process.stdout.read()), (code, out), received)
        self.assertEqual(termios.tcgetattr(theirs), modes)  # the terminal is as it was
        modes[3] &= ~termios.ICANON  # half lines are read, too
        termios.tcsetattr(theirs, termios.TCSANOW, modes)
        left = os.read(theirs, 4096) if select.select([theirs], [], [], 0)[0] else b""
        os.close(ours)
        os.close(theirs)
        files = sorted(os.listdir(self.folder))
        for name in files:
            os.remove(self.folder / name)
        return received, left, files

    def test_the_terminal_is_asked(self):
        kitty = b"\x1b_Gi=31;OK\x1b\\\x1b[?62c"
        for answer, sign in ((kitty, b"\x1b_Ga=T,f=100"), (b"\x1b[?62;4;22c", b"\x1bPq")):
            with self.subTest(answer=answer):
                for _ in range(5):  # on a busy machine the answer may come too late
                    received, left, files = self.asked(answer + b"ls\n")
                    self.assertEqual(received.count(QUESTION), 1)
                    if sign in received:
                        break
                self.assertEqual(received.count(sign), 2)  # after step 2, and the picture
                self.assertEqual(left, b"ls\n")  # what is typed behind the answer
                self.assertEqual(files, ["zimage-1.png"])
                self.assertNotIn(b"62", received.split(QUESTION)[1].split(b"denoise")[0])  # no echo
        for answer in (b"\x1b[?62;22c", b"\x1b[?62;", None):
            with self.subTest(answer=answer):
                received, left, files = self.asked(answer)
                self.assertEqual(received.count(QUESTION), 1)
                self.assertNotIn(b"\x1bPq", received)
                self.assertNotIn(b"\x1b_Ga=T", received)
                self.assertIn(b"--show: no terminal that is known", received)
                self.assertEqual((left, files), (b"", ["zimage-1-preview.png", "zimage-1.png"]))

    def test_an_answer_that_comes_late_is_nobody_s_input(self):
        received, left, files = self.asked(b"\x1b[?62;4;22c", late=True)
        self.assertNotIn(b"\x1bPq", received)
        self.assertEqual((left, files), (b"", ["zimage-1-preview.png", "zimage-1.png"]))

    def test_the_terminal_is_given_back_when_interrupted(self):
        for keys in (b"\x03", b"\x03\x03"):
            self.assertEqual(self.asked(keys, code=130)[1], b"")

    def test_the_terminal_is_not_asked(self):
        answer = b"\x1b[?62;4;22c"
        for name, options in {
            "background": {"background": True},
            "multiplexer": {"env": environment(TMUX="1")},
            "known": {"env": environment(TERM="dumb")},
            "typed": {"typed": b"ls\n"},
            "half a line": {"typed": b"l"},
        }.items():
            with self.subTest(name):
                received, left, files = self.asked(answer, **options)
                self.assertNotIn(QUESTION, received)
                self.assertEqual(left, options.get("typed", b""))
                self.assertEqual(files, ["zimage-1-preview.png", "zimage-1.png"])
        for arguments in (["--terminal-graphics", "none"], ["-q"]):
            with self.subTest(arguments):
                self.assertNotIn(QUESTION, self.asked(answer, *arguments)[0])
        # Standard input is elsewhere.
        self.assertNotIn(QUESTION, self.on_terminal("--show"))

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
